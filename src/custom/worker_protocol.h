// What the server and a Python worker say to each other, as bytes: frames over a stream socket, and tensors in shared memory. The worker's side is
// python/tflite_serving/_protocol.py.
//
// A frame: u32 size of what follows, u8 type, its fields. Integers are little-endian and not padded; `str` is u32 size and bytes.
//
//   tensor   u8 type (tensorflow's DataType), u8 rank, i64 dimension each, u8 arena (0 input, 1 output), u64 offset (a multiple of
//            kTensorAlignment), u64 bytes; the memory layout is tensor.h's
//   spec     str name, u8 type, u8 rank, i64 dimension each (-1: any)
//
//   to the worker
//     1 LOAD      u32 kWorkerProtocolVersion; u32 n, n x (str key, str value)
//     2 PREDICT   u64 id; i64 microseconds to the deadline, -1: none; u32 signature, by its place in READY; u32 n, n x tensor
//     3 CALL      u64 id; i64 microseconds to the deadline; u64 offset, u64 bytes of a JSON body in the input arena
//     4 UNLOAD
//   from it
//     101 READY   u8 1 if it takes tensors (PREDICT), 0 JSON (CALL); u8 1 if rows of several requests may be put together; u32 n, n x signature:
//                 str key, str method name, u32 n, n x spec: inputs, u32 n, n x spec: outputs
//     102 RESULT  u64 id; u32 n, n x tensor
//     103 ERROR   u64 id, 0 for LOAD; u32 canonical code; u8 1 if the worker ends now; str message
//     104 ANSWER  u64 id; u8 1 if it is an error that the servable reports; u64 offset, u64 bytes of JSON in the output arena
//
// One request at a time is under way. All functions are thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace tflite_serving {

inline constexpr uint32_t kWorkerProtocolVersion = 1;
inline constexpr size_t kFrameHeaderBytes = 4;
// Of a frame without its header: signatures and error messages are the longest things in them.
inline constexpr size_t kMaxFrameBytes = size_t{4} << 20;

enum class Arena : uint8_t { kInput = 0, kOutput = 1 };

struct ArenaTensor {
  DType dtype = DType::kInvalid;
  Shape shape;
  Arena arena = Arena::kInput;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

std::string LoadFrame(std::span<const std::pair<std::string, std::string>> values);
// `left`: to the request's deadline; negative: it has none.
std::string PredictFrame(uint64_t id, std::chrono::microseconds left, uint32_t signature, std::span<const ArenaTensor> inputs);
std::string CallFrame(uint64_t id, std::chrono::microseconds left, uint64_t offset, uint64_t bytes);
std::string UnloadFrame();

struct WorkerReady {
  bool takes_tensors = false;
  bool batchable = false;
  std::vector<Signature> signatures;
};
struct WorkerResult {
  uint64_t id = 0;
  std::vector<ArenaTensor> outputs;  // of any types and shapes, anywhere: to be checked
};
struct WorkerError {
  uint64_t id = 0;
  Status status;  // not OK
  bool is_last = false;
};
struct WorkerAnswer {
  uint64_t id = 0;
  bool is_error = false;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};
using WorkerReply = std::variant<WorkerReady, WorkerResult, WorkerError, WorkerAnswer>;

// The reply in a frame from a worker, without its header. INTERNAL, which says what is wrong, for bytes that are none.
StatusOr<WorkerReply> ParseWorkerReply(std::span<const std::byte> frame);

}  // namespace tflite_serving
