// Operators of users' own, from shared libraries (include/tflite_serving_plugin.h): where they are found, and where they stand in a model.
//
// The runtime tells a kernel of an operator by its name and version alone, not at which place of the graph it is called. So each place gets a name of
// its own in an edited file (edited_file.h), and with it an instance of its own (operator_nodes.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tflite_serving_plugin.h>

#include "base/plugin_library.h"
#include "base/status.h"
#include "runtime/tflite_file.h"
#include "tensor/dtype.h"

namespace tflite_serving {

// Immutable, so thread-safe; a value, whose copies share what is loaded.
class OperatorLibraries {
 public:
  // Loads them into this process, which they may end: to be done in a child first (model_trial.h). INVALID_ARGUMENT, naming the file, for what is no
  // such library, or one of another version.
  static StatusOr<OperatorLibraries> Open(std::span<const std::string> paths);

  // The first library's operator of this name and version; null if there is none.
  const TflsOperator* Find(std::string_view name, int32_t version) const;

 private:
  std::vector<std::shared_ptr<const PluginLibrary>> libraries_;
  std::vector<std::span<const TflsOperator>> operators_;  // by library
};

// A place of a model where an operator of a library stands.
struct LibraryOperator {
  struct Input {
    DType dtype = DType::kInvalid;
    std::span<const std::byte> constant;  // its content, if the file has it
  };
  const TflsOperator* op = nullptr;
  std::string runtime_name;  // that the edited file has
  std::string place;         // DescribeOperator
  std::vector<Input> inputs;
  std::vector<DType> outputs;
};

// The name that an operator with a library_number has in the edited file.
std::string RuntimeName(const FileOperator& op);

// Finds the operators in `file` that `libraries` have, gives them their library_number, and copies of their constants where the runtime can read
// them. UNIMPLEMENTED, naming the operator, for one that the runtime could not run: with an input left out, or an input or output of a type that it
// does not carry. `path` is for messages.
StatusOr<std::vector<LibraryOperator>> BindOperators(const std::string& path, const OperatorLibraries& libraries, TfliteFile& file);

}  // namespace tflite_serving
