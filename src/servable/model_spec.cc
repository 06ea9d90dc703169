#include "servable/model_spec.h"

#include <fmt/format.h>

namespace tflite_serving {

std::string ServableId::ToString() const { return fmt::format("{{name: {} version: {}}}", name, version); }

std::string ModelSpec::ToString() const { return version ? fmt::format("Specific({}, {})", name, *version) : fmt::format("Latest({})", name); }

std::string_view VersionStateName(VersionState state) {
  switch (state) {
    case VersionState::kStart:
      return "START";
    case VersionState::kLoading:
      return "LOADING";
    case VersionState::kAvailable:
      return "AVAILABLE";
    case VersionState::kUnloading:
      return "UNLOADING";
    case VersionState::kEnd:
      return "END";
  }
  return "UNKNOWN";
}

}  // namespace tflite_serving
