// Operators for operator_nodes_test. TestScale: y = factor * x + k. What it does besides the options of a place say: eight bytes.
#include <tflite_serving_plugin.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

TflsStatus Fail(TflsStatus code, const char* text, TflsError* error) {
  std::snprintf(error->text, sizeof(error->text), "%s", text);
  return code;
}

TflsStatus Init(const void* options, size_t bytes, void** instance, TflsError* error) {
  auto* made = new std::string(static_cast<const char*>(options), bytes);
  if (*made == "init....") {
    delete made;
    return Fail(TFLS_INVALID_ARGUMENT, "no such options", error);
  }
  if (*made == "crash...") std::abort();
  *instance = made;
  return TFLS_OK;
}

TflsStatus Prepare(void* instance, const TflsTensor* inputs, size_t num_inputs, TflsTensor* outputs, size_t num_outputs, TflsError* error) {
  const std::string& options = *static_cast<std::string*>(instance);
  const bool sees_constant = num_inputs == 2 && inputs[1].data != nullptr && static_cast<const float*>(inputs[1].data)[1] == 20;
  if (num_outputs != 1 || !sees_constant || inputs[0].data != nullptr) return Fail(TFLS_INTERNAL, "expected x and the constant k", error);
  if (options == "prepare.") return Fail(TFLS_RESOURCE_EXHAUSTED, "no room", error);
  if (options == "unset...") return TFLS_OK;
  outputs[0].rank = options == "rank...." ? 9 : inputs[0].rank;
  std::memcpy(outputs[0].dims, inputs[0].dims, sizeof(inputs[0].dims));
  if (options == "zero....") outputs[0].dims[1] = 0;
  return TFLS_OK;
}

TflsStatus Run(void* instance, const TflsTensor* inputs, size_t, const TflsTensor* outputs, size_t, TflsError* error) {
  const std::string& options = *static_cast<std::string*>(instance);
  const auto* x = static_cast<const float*>(inputs[0].data);
  const auto* k = static_cast<const float*>(inputs[1].data);
  auto* y = static_cast<float*>(outputs[0].data);
  const auto is_aligned = [](const TflsTensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.data) % TFLS_ALIGNMENT == 0; };
  if (!is_aligned(inputs[0]) || !is_aligned(inputs[1])) return Fail(TFLS_INTERNAL, "an input is not aligned", error);
  if (options == "run....." || x[0] == -1) return Fail(11, "a value is too small", error);
  const float factor = std::strtof(options.c_str() + 6, nullptr);
  for (size_t i = 0; i < inputs[0].bytes / sizeof(float); ++i) y[i] = factor * x[i] + k[i % 2];
  return TFLS_OK;
}

void Destroy(void* instance) { delete static_cast<std::string*>(instance); }

const TflsOperator kOperators[] = {
    {.name = "TestScale", .version = 2, .init = Init, .prepare = Prepare, .run = Run, .destroy = nullptr},
    {.name = "TestScale", .version = 1, .init = Init, .prepare = Prepare, .run = Run, .destroy = Destroy},
};
const TflsOperators kLibrary = {.abi_version = TFLS_ABI_VERSION, .struct_size = sizeof(TflsOperators), .operators = kOperators, .num_operators = 2};

}  // namespace

extern "C" TFLS_EXPORT const TflsOperators* tflite_serving_operators() { return &kLibrary; }
