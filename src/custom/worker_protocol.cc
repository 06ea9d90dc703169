#include "custom/worker_protocol.h"

#include <bit>
#include <concepts>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

static_assert(std::endian::native == std::endian::little, "integers go onto the wire as they are");

enum MessageType : uint8_t { kLoad = 1, kPredict = 2, kCall = 3, kUnload = 4, kReady = 101, kResult = 102, kError = 103, kAnswer = 104 };

constexpr size_t kLeastSpecBytes = 6;
constexpr size_t kLeastSignatureBytes = 16;
constexpr size_t kLeastTensorBytes = 19;

class FrameWriter {
 public:
  explicit FrameWriter(MessageType type) : frame_(kFrameHeaderBytes, '\0') { Number<uint8_t>(type); }

  template <std::integral T>
  void Number(std::type_identity_t<T> value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    frame_.append(bytes, sizeof(T));
  }
  void Text(std::string_view text) {
    Number<uint32_t>(static_cast<uint32_t>(text.size()));
    frame_.append(text);
  }
  std::string Finish() {
    const auto size = static_cast<uint32_t>(frame_.size() - kFrameHeaderBytes);
    std::memcpy(frame_.data(), &size, sizeof(size));
    return std::move(frame_);
  }

 private:
  std::string frame_;
};

// Reads fields while there are bytes; what is missing reads as nothing and makes it broken.
class FrameReader {
 public:
  explicit FrameReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <std::integral T>
  T Number() {
    T value{};
    if (const std::span<const std::byte> bytes = Take(sizeof(T)); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  std::string Text() {
    const std::span<const std::byte> bytes = Take(Number<uint32_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // A number of things that follow, each of which has so many bytes at least.
  uint32_t Count(size_t least_bytes) {
    const auto count = Number<uint32_t>();
    if (count > rest_.size() / least_bytes) Break();
    return broken_ ? 0 : count;
  }
  Shape Dims() {
    Shape shape;
    const auto rank = Number<uint8_t>();
    for (int i = 0; i < rank; ++i) {
      if (!shape.Append(Number<int64_t>())) Break();
    }
    return shape;
  }
  DType Type() {
    const DType dtype = DTypeFromNumber(Number<uint8_t>());
    if (dtype == DType::kInvalid) Break();
    return dtype;
  }

  // All of it was there, and nothing else.
  bool IsWhole() const { return !broken_ && rest_.empty(); }

 private:
  std::span<const std::byte> Take(size_t count) {
    if (count > rest_.size()) Break();
    if (broken_) return {};
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  void Break() { broken_ = true; }

  std::span<const std::byte> rest_;
  bool broken_ = false;
};

std::vector<TensorSpec> ReadSpecs(FrameReader& reader) {
  std::vector<TensorSpec> specs(reader.Count(kLeastSpecBytes));
  for (TensorSpec& spec : specs) {
    spec.name = reader.Text();
    spec.tensor_name = spec.name;
    spec.dtype = reader.Type();
    spec.shape = reader.Dims();
  }
  return specs;
}

WorkerReady ReadReady(FrameReader& reader) {
  WorkerReady ready;
  ready.takes_tensors = reader.Number<uint8_t>() != 0;
  ready.batchable = reader.Number<uint8_t>() != 0;
  ready.signatures.resize(reader.Count(kLeastSignatureBytes));
  for (Signature& signature : ready.signatures) {
    signature.key = reader.Text();
    if (std::string method = reader.Text(); !method.empty()) signature.method_name = std::move(method);
    signature.inputs = ReadSpecs(reader);
    signature.outputs = ReadSpecs(reader);
  }
  return ready;
}

WorkerResult ReadResult(FrameReader& reader) {
  WorkerResult result{.id = reader.Number<uint64_t>()};
  result.outputs.resize(reader.Count(kLeastTensorBytes));
  for (ArenaTensor& tensor : result.outputs) {
    tensor.dtype = reader.Type();
    tensor.shape = reader.Dims();
    tensor.arena = reader.Number<uint8_t>() == 0 ? Arena::kInput : Arena::kOutput;
    tensor.offset = reader.Number<uint64_t>();
    tensor.bytes = reader.Number<uint64_t>();
  }
  return result;
}

WorkerError ReadError(FrameReader& reader) {
  const auto id = reader.Number<uint64_t>();
  const auto code = reader.Number<uint32_t>();
  const bool is_last = reader.Number<uint8_t>() != 0;
  const bool is_known = code > 0 && code <= static_cast<uint32_t>(StatusCode::kUnauthenticated);
  return {.id = id, .status = Status(is_known ? static_cast<StatusCode>(code) : StatusCode::kInternal, reader.Text()), .is_last = is_last};
}

WorkerAnswer ReadAnswer(FrameReader& reader) {
  WorkerAnswer answer{.id = reader.Number<uint64_t>()};
  answer.is_error = reader.Number<uint8_t>() != 0;
  answer.offset = reader.Number<uint64_t>();
  answer.bytes = reader.Number<uint64_t>();
  return answer;
}

}  // namespace

std::string LoadFrame(std::span<const std::pair<std::string, std::string>> values) {
  FrameWriter writer(kLoad);
  writer.Number<uint32_t>(kWorkerProtocolVersion);
  writer.Number<uint32_t>(static_cast<uint32_t>(values.size()));
  for (const auto& [key, value] : values) {
    writer.Text(key);
    writer.Text(value);
  }
  return writer.Finish();
}

std::string PredictFrame(uint64_t id, std::chrono::microseconds left, uint32_t signature, std::span<const ArenaTensor> inputs) {
  FrameWriter writer(kPredict);
  writer.Number<uint64_t>(id);
  writer.Number<int64_t>(left.count());
  writer.Number<uint32_t>(signature);
  writer.Number<uint32_t>(static_cast<uint32_t>(inputs.size()));
  for (const ArenaTensor& tensor : inputs) {
    writer.Number<uint8_t>(static_cast<uint8_t>(tensor.dtype));
    writer.Number<uint8_t>(static_cast<uint8_t>(tensor.shape.rank()));
    for (const int64_t dim : tensor.shape.dims()) writer.Number<int64_t>(dim);
    writer.Number<uint8_t>(static_cast<uint8_t>(tensor.arena));
    writer.Number<uint64_t>(tensor.offset);
    writer.Number<uint64_t>(tensor.bytes);
  }
  return writer.Finish();
}

std::string CallFrame(uint64_t id, std::chrono::microseconds left, uint64_t offset, uint64_t bytes) {
  FrameWriter writer(kCall);
  writer.Number<uint64_t>(id);
  writer.Number<int64_t>(left.count());
  writer.Number<uint64_t>(offset);
  writer.Number<uint64_t>(bytes);
  return writer.Finish();
}

std::string UnloadFrame() { return FrameWriter(kUnload).Finish(); }

StatusOr<WorkerReply> ParseWorkerReply(std::span<const std::byte> frame) {
  FrameReader reader(frame);
  const auto type = reader.Number<uint8_t>();
  WorkerReply reply;
  switch (type) {
    case kReady:
      reply = ReadReady(reader);
      break;
    case kResult:
      reply = ReadResult(reader);
      break;
    case kError:
      reply = ReadError(reader);
      break;
    case kAnswer:
      reply = ReadAnswer(reader);
      break;
    default:
      return InternalError(fmt::format("the worker sent a message of unknown type {} and {} bytes", type, frame.size()));
  }
  if (!reader.IsWhole()) return InternalError(fmt::format("the worker sent a malformed message of type {} and {} bytes", type, frame.size()));
  return reply;
}

}  // namespace tflite_serving
