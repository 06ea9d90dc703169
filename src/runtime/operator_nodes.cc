#include "runtime/operator_nodes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/plugin_library.h"
#include "tensor/shape.h"

namespace tflite_serving {

// One place of the graph. The runtime calls it while it compiles, plans and runs.
class OperatorNode {
 public:
  explicit OperatorNode(const LibraryOperator& place) : place_(place), inputs_(place.inputs.size()), outputs_(place.outputs.size()) {
    for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i].dtype = static_cast<int32_t>(place.inputs[i].dtype);
    for (size_t i = 0; i < outputs_.size(); ++i) outputs_[i].dtype = static_cast<int32_t>(place.outputs[i]);
  }
  ~OperatorNode() { Destroy(); }
  OperatorNode(const OperatorNode&) = delete;
  OperatorNode& operator=(const OperatorNode&) = delete;

  LiteRtStatus AddTo(LiteRtOptions options) {
    static constexpr LiteRtCustomOpKernel kKernel = {
        .Init = [](void* self, const void* data, size_t bytes) { return static_cast<OperatorNode*>(self)->Init(data, bytes); },
        .GetOutputLayouts =
            [](void* self, size_t num_inputs, const LiteRtLayout* inputs, size_t num_outputs, LiteRtLayout* outputs) {
              return static_cast<OperatorNode*>(self)->Prepare({inputs, num_inputs}, {outputs, num_outputs});
            },
        .Run = [](void* self, size_t num_inputs, const LiteRtTensorBuffer* inputs, size_t num_outputs,
                  LiteRtTensorBuffer* outputs) { return static_cast<OperatorNode*>(self)->Run({inputs, num_inputs}, {outputs, num_outputs}); },
        .Destroy =
            [](void* self) {
              static_cast<OperatorNode*>(self)->Destroy();
              return kLiteRtStatusOk;
            }};
    return LiteRtAddCustomOpKernelOption(options, place_.runtime_name.c_str(), place_.op->version, &kKernel, this);
  }

  const Status& failure() const { return failure_; }

 private:
  LiteRtStatus Init(const void* options, size_t bytes) {
    Destroy();
    TflsError error{};
    Keep(StatusFromPlugin(place_.op->init(options, bytes, &instance_, &error), error));
    is_made_ = failure_.ok();
    return ToRuntime();
  }

  LiteRtStatus Prepare(std::span<const LiteRtLayout> inputs, std::span<LiteRtLayout> outputs) {
    if (failure_.ok()) Keep(PrepareOutputs(inputs, outputs));
    // The runtime takes them all the same.
    if (!failure_.ok()) std::ranges::fill(outputs, LiteRtLayout{});
    return ToRuntime();
  }

  Status PrepareOutputs(std::span<const LiteRtLayout> inputs, std::span<LiteRtLayout> outputs) {
    TFLS_RETURN_IF_ERROR(CheckCounts(inputs.size(), outputs.size()));
    for (size_t i = 0; i < inputs.size(); ++i) {
      SetShape(inputs_[i], inputs[i]);
      const std::span<const std::byte> constant = place_.inputs[i].constant;
      SetData(inputs_[i], constant.data(), constant.size());
    }
    for (TflsTensor& output : outputs_) output.rank = -1;  // until it is set
    TflsError error{};
    TFLS_RETURN_IF_ERROR(
        StatusFromPlugin(place_.op->prepare(instance_, inputs_.data(), inputs_.size(), outputs_.data(), outputs_.size(), &error), error));
    for (size_t i = 0; i < outputs.size(); ++i) {
      const TflsTensor& output = outputs_[i];
      if (output.rank < 0 || output.rank > TFLS_MAX_RANK) return InternalError(fmt::format("it gave output {} {} dimensions", i, output.rank));
      const std::span dims(output.dims, static_cast<size_t>(output.rank));
      const auto is_no_dim = [](int64_t dim) { return dim < 1 || dim > std::numeric_limits<int32_t>::max(); };
      if (std::ranges::any_of(dims, is_no_dim)) return InternalError(fmt::format("it gave output {} the shape {}", i, Shape(dims).ToString()));
      outputs[i] = LiteRtLayout{};
      outputs[i].rank = static_cast<unsigned>(output.rank) & 0x7FU;
      std::ranges::transform(dims, outputs[i].dimensions, [](int64_t dim) { return static_cast<int32_t>(dim); });
    }
    return OkStatus();
  }

  LiteRtStatus Run(std::span<const LiteRtTensorBuffer> inputs, std::span<const LiteRtTensorBuffer> outputs) {
    if (failure_.ok()) Keep(RunLocked(inputs, outputs));
    return ToRuntime();
  }

  Status RunLocked(std::span<const LiteRtTensorBuffer> inputs, std::span<const LiteRtTensorBuffer> outputs) {
    TFLS_RETURN_IF_ERROR(CheckCounts(inputs.size(), outputs.size()));
    // Over host memory, where a lock is but the way to its address.
    for (size_t i = 0; i < inputs.size(); ++i) TFLS_RETURN_IF_ERROR(ReadBuffer(inputs[i], 0, inputs_[i]));
    for (size_t i = 0; i < outputs.size(); ++i) TFLS_RETURN_IF_ERROR(ReadBuffer(outputs[i], 1, outputs_[i]));
    TflsError error{};
    return StatusFromPlugin(place_.op->run(instance_, inputs_.data(), inputs_.size(), outputs_.data(), outputs_.size(), &error), error);
  }

  static Status ReadBuffer(LiteRtTensorBuffer buffer, int mode, TflsTensor& tensor) {
    LiteRtRankedTensorType type{};
    size_t bytes = 0;
    void* address = nullptr;
    if (LiteRtGetTensorBufferTensorType(buffer, &type) != kLiteRtStatusOk || LiteRtGetTensorBufferSize(buffer, &bytes) != kLiteRtStatusOk ||
        LiteRtLockTensorBuffer(buffer, &address, mode) != kLiteRtStatusOk) {
      return InternalError("the runtime does not say where a tensor of it is");
    }
    LiteRtUnlockTensorBuffer(buffer);
    SetShape(tensor, type.layout);
    SetData(tensor, static_cast<const std::byte*>(address), bytes);
    return OkStatus();
  }

  static void SetShape(TflsTensor& tensor, const LiteRtLayout& layout) {
    tensor.rank = std::min(static_cast<int32_t>(layout.rank), TFLS_MAX_RANK);
    std::copy_n(layout.dimensions, tensor.rank, tensor.dims);
  }
  static void SetData(TflsTensor& tensor, const std::byte* data, size_t bytes) {
    tensor.data = const_cast<std::byte*>(data);  // inputs are to be read alone, which C does not say in this struct
    tensor.bytes = bytes;
  }

  Status CheckCounts(size_t num_inputs, size_t num_outputs) const {
    if (num_inputs == inputs_.size() && num_outputs == outputs_.size()) return OkStatus();
    return InternalError(
        fmt::format("the runtime has {} inputs and {} outputs for it, the file {} and {}", num_inputs, num_outputs, inputs_.size(), outputs_.size()));
  }

  void Destroy() {
    if (std::exchange(is_made_, false) && place_.op->destroy != nullptr) place_.op->destroy(instance_);
  }

  void Keep(const Status& status) {
    if (!status.ok()) failure_ = Status(status.code(), fmt::format("{}: {}", place_.place, status.message()));
  }
  LiteRtStatus ToRuntime() const { return failure_.ok() ? kLiteRtStatusOk : kLiteRtStatusErrorRuntimeFailure; }

  const LibraryOperator& place_;
  void* instance_ = nullptr;
  bool is_made_ = false;
  Status failure_;
  // Filled anew for each call.
  std::vector<TflsTensor> inputs_;
  std::vector<TflsTensor> outputs_;
};

OperatorNodes::OperatorNodes() = default;

OperatorNodes::OperatorNodes(const std::vector<LibraryOperator>& operators) {
  for (const LibraryOperator& place : operators) nodes_.push_back(std::make_unique<OperatorNode>(place));
}

OperatorNodes::OperatorNodes(OperatorNodes&& other) noexcept = default;
OperatorNodes& OperatorNodes::operator=(OperatorNodes&& other) noexcept = default;
OperatorNodes::~OperatorNodes() = default;

LiteRtStatus OperatorNodes::AddTo(LiteRtOptions options) {
  for (const std::unique_ptr<OperatorNode>& node : nodes_) {
    if (const LiteRtStatus status = node->AddTo(options); status != kLiteRtStatusOk) return status;
  }
  return kLiteRtStatusOk;
}

Status OperatorNodes::failure() const {
  for (const std::unique_ptr<OperatorNode>& node : nodes_) TFLS_RETURN_IF_ERROR(node->failure());
  return OkStatus();
}

}  // namespace tflite_serving
