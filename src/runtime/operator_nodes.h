// What the runtime calls where operators of libraries stand in a model.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "runtime/library_operator.h"
#include "runtime/litert_c_api.h"

namespace tflite_serving {

class OperatorNode;

// The instances of one compiled model, which they must outlive. Thread-compatible, as that is.
class OperatorNodes {
 public:
  OperatorNodes();
  // Borrows `operators`.
  explicit OperatorNodes(const std::vector<LibraryOperator>& operators);
  OperatorNodes(OperatorNodes&& other) noexcept;
  OperatorNodes& operator=(OperatorNodes&& other) noexcept;
  ~OperatorNodes();

  // Has what is compiled with `options` call them.
  LiteRtStatus AddTo(LiteRtOptions options);

  // The runtime goes on, whatever an operator says. So the first failure since the compilation is kept here, and from then on no operator is called.
  // OK if there was none; the operator's own code and text, with its place, or INTERNAL for shapes that no tensor has.
  Status failure() const;

 private:
  std::vector<std::unique_ptr<OperatorNode>> nodes_;
};

}  // namespace tflite_serving
