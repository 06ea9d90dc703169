// The .npy parser against any bytes. What must hold: an array that is accepted is a part of the file, of exactly the size of its type and shape; and
// the file made of it anew is accepted as the same array.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "codec/npy.h"
#include "tensor/tensor.h"

namespace tflite_serving {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void Run(std::span<const std::byte> file) {
  const StatusOr<NpyArray> array = ParseNpy(file);
  if (!array.ok()) {
    Require(array.status().code() == StatusCode::kInvalidArgument, "a refusal blames the argument");
    return;
  }
  const std::span<const std::byte> elements = array->elements;
  Require(elements.data() >= file.data() && elements.data() + elements.size() == file.data() + file.size(), "the elements end the file");
  const StatusOr<size_t> size = TensorSizeBytes(array->dtype, array->shape);
  Require(size.ok() && *size == elements.size(), "the elements have the size of their type and shape");
  Require(!NumpyName(array->dtype).empty(), "the type has a name");

  std::string copy = NpyHeader(array->dtype, array->shape);
  copy.append(reinterpret_cast<const char*>(elements.data()), elements.size());
  const StatusOr<NpyArray> again = ParseNpy(std::as_bytes(std::span(copy)));
  Require(again.ok() && again->dtype == array->dtype && again->shape == array->shape, "the file written anew is the same array");
  Require(elements.empty() || std::memcmp(again->elements.data(), elements.data(), elements.size()) == 0, "it has the same elements");
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tflite_serving::Run(std::as_bytes(std::span(data, size)));
  return 0;
}
