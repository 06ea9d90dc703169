#include "lifecycle/version_policy.h"

#include <algorithm>
#include <iterator>

namespace tflite_serving {

std::vector<StorageVersion> ChooseVersions(const VersionPolicy& policy, const std::vector<StorageVersion>& found) {
  switch (policy.kind) {
    case VersionPolicy::Kind::kAll:
      return found;
    case VersionPolicy::Kind::kLatest:
      return {found.end() - static_cast<ptrdiff_t>(std::min<size_t>(policy.num_versions, found.size())), found.end()};
    case VersionPolicy::Kind::kSpecific:
      break;
  }
  std::vector<StorageVersion> chosen;
  std::ranges::copy_if(found, std::back_inserter(chosen), [&policy](const StorageVersion& version) {
    return std::ranges::find(policy.versions, version.version) != policy.versions.end();
  });
  return chosen;
}

std::vector<int64_t> MissingVersions(const VersionPolicy& policy, const std::vector<StorageVersion>& found) {
  if (policy.kind != VersionPolicy::Kind::kSpecific) return {};
  std::vector<int64_t> missing;
  std::ranges::copy_if(policy.versions, std::back_inserter(missing),
                       [&found](int64_t version) { return std::ranges::find(found, version, &StorageVersion::version) == found.end(); });
  std::ranges::sort(missing);
  return missing;
}

}  // namespace tflite_serving
