// Which of the versions on disk are to be served.
#pragma once

#include <cstdint>
#include <vector>

#include "lifecycle/storage_path.h"
#include "servable/model_config.h"

namespace tflite_serving {

// Those of `found` (lowest first, as FindVersions gives them) that `policy` chooses, in the same order. kLatest and kAll choose at least one of a
// list that has any; kSpecific may choose none.
std::vector<StorageVersion> ChooseVersions(const VersionPolicy& policy, const std::vector<StorageVersion>& found);

// The versions that a kSpecific policy names and `found` does not have, lowest first.
std::vector<int64_t> MissingVersions(const VersionPolicy& policy, const std::vector<StorageVersion>& found);

}  // namespace tflite_serving
