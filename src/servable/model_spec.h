// Which model a request means, and what a version's state is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// The name and version of one servable.
struct ServableId {
  std::string name;
  int64_t version = 0;

  // "{name: digits version: 1}", the text that scripts look for in logs.
  std::string ToString() const;
  friend bool operator==(const ServableId&, const ServableId&) = default;
};

// A request's choice: a name, and a version, or a label, or neither (the highest available version).
struct ModelSpec {
  std::string name;
  std::optional<int64_t> version;
  std::string version_label;
  std::string signature_name;  // empty: kDefaultSignatureKey

  // "Latest(digits)" or "Specific(digits, 5)", as in the message `Servable not found for request: …` that clients search for.
  std::string ToString() const;
};

// The states of a version and their numbers in ModelVersionStatus.State (get_model_status.proto).
enum class VersionState : int { kStart = 10, kLoading = 20, kAvailable = 30, kUnloading = 40, kEnd = 50 };

// "AVAILABLE"
std::string_view VersionStateName(VersionState state);

struct VersionStatus {
  int64_t version = 0;
  VersionState state = VersionState::kStart;
  Status status;            // why a version ended, or what is wrong with it although it serves; OK otherwise
  size_t memory_bytes = 0;  // of one that is AVAILABLE; 0 while it is not in memory (--model_memory_budget_mb)
};

}  // namespace tflite_serving
