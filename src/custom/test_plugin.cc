// A plug-in for plugin_servable_test. Its parameter "load" makes its load do something else, and the first value of a request its predict.
//
// TEST_ABI and TEST_ENTRY: the version that it says, and the name of its function.
#include <tflite_serving_plugin.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#ifndef TEST_ABI
#define TEST_ABI TFLS_ABI_VERSION
#define TEST_ENTRY tflite_serving_plugin
#endif

namespace {

struct Instance {
  const TflsHost* host = nullptr;
  TflsModel* model = nullptr;
  std::string load;
};

const TflsTensorSpec kX = {.name = "x", .dtype = TFLS_FLOAT, .rank = 1, .dims = {-1}};
const TflsTensorSpec kY = {.name = "y", .dtype = TFLS_FLOAT, .rank = 1, .dims = {-1}};
const TflsTensorSpec kText = {.name = "text", .dtype = TFLS_STRING, .rank = 1, .dims = {-1}};
const TflsTensorSpec kInt4 = {.name = "four", .dtype = 29, .rank = 1, .dims = {1}};
const TflsTensorSpec kDeep = {.name = "deep", .dtype = TFLS_FLOAT, .rank = 9, .dims = {}};
const TflsTensorSpec kNameless = {.name = nullptr, .dtype = TFLS_FLOAT, .rank = 0, .dims = {}};

TflsSignature Signature(const char* key, const TflsTensorSpec& input, const TflsTensorSpec& output) {
  return {.key = key, .method_name = nullptr, .inputs = &input, .num_inputs = 1, .outputs = &output, .num_outputs = 1, .rows_are_independent = 1};
}

TflsStatus Load(const TflsLoadOptions* options, void** instance, TflsError* error) {
  auto* made = new Instance{.host = options->host, .model = nullptr, .load = ""};
  *instance = made;
  for (size_t i = 0; i < options->num_parameters; ++i) {
    if (std::string_view(options->parameters[i].key) == "load") made->load = options->parameters[i].value;
  }
  TflsStatus status = TFLS_OK;
  if (made->load == "fail") {
    std::snprintf(error->text, sizeof(error->text), "no luck with %s %d in %s", options->name, static_cast<int>(options->version),
                  options->servable_path);
    status = TFLS_FAILED_PRECONDITION;
  }
  if (made->load == "model") status = made->host->open_model(options->load, "model.tflite", &made->model, error);
  if (status != TFLS_OK) delete made;
  return status;
}

void Unload(void* instance) { delete static_cast<Instance*>(instance); }

size_t Signatures(void* instance, const TflsSignature** signatures) {
  static const std::array<TflsSignature, 2> usual = {Signature(nullptr, kX, kY), Signature("text", kText, kText)};
  static const std::array<TflsSignature, 2> twice = {Signature("a", kX, kY), Signature("a", kX, kY)};
  static const TflsSignature int4 = Signature("a", kX, kInt4);
  static const TflsSignature deep = Signature("a", kDeep, kY);
  static const TflsSignature nameless = Signature("a", kX, kNameless);
  const std::string& load = static_cast<Instance*>(instance)->load;
  *signatures = load == "twice" ? twice.data() : load == "int4" ? &int4 : load == "deep" ? &deep : load == "nameless" ? &nameless : usual.data();
  return load == "none" ? 0 : *signatures == usual.data() || *signatures == twice.data() ? 2 : 1;
}

// Runs the model on a copy of x one float further on, which no runtime reads where it is.
TflsStatus RunModel(const Instance& instance, const TflsTensor& x, TflsCall* call, TflsError* error) {
  struct Context {
    const TflsHost* host;
    TflsCall* call;
  } context{instance.host, call};
  std::vector<char> memory(x.bytes + TFLS_ALIGNMENT);
  TflsTensor moved = x;
  moved.data = memory.data() + sizeof(float);
  if (reinterpret_cast<uintptr_t>(moved.data) % TFLS_ALIGNMENT == 0) moved.data = memory.data();
  std::memcpy(moved.data, x.data, x.bytes);
  const size_t number = static_cast<const float*>(x.data)[0] == 9 ? 7 : 0;
  if (static_cast<const float*>(x.data)[0] == 10) moved.dtype = TFLS_INT32;
  return instance.host->run_model(
      instance.model, number, &moved, call,
      [](void* data, const TflsTensor* outputs) {
        const auto* to = static_cast<Context*>(data);
        to->host->emit(to->call, outputs);
      },
      &context, error);
}

TflsStatus Predict(void* instance, size_t signature, const TflsTensor* inputs, TflsCall* call, TflsError* error) {
  const Instance& self = *static_cast<Instance*>(instance);
  TflsTensor y = inputs[0];
  if (signature == 1) {
    static const std::array<int32_t, 2> broken = {1, 99};
    if (y.dims[0] == 3) y.data = const_cast<int32_t*>(broken.data());
    if (y.dims[0] == 3) y.bytes = sizeof(broken);
    self.host->emit(call, &y);
    return TFLS_OK;
  }
  if (self.model != nullptr) return RunModel(self, inputs[0], call, error);
  switch (static_cast<int>(static_cast<const float*>(y.data)[0])) {
    case 1:
      y.rank = 2;
      break;
    case 2:
      y.dtype = TFLS_INT32;
      break;
    case 3:
      y.bytes -= 1;
      break;
    case 4:
      return TFLS_OK;
    case 5:
      std::snprintf(error->text, sizeof(error->text), "nothing there");
      return TFLS_NOT_FOUND;
    case 6:
      return 99;
    case 7:
      y.rank = -1;
      break;
    case 8:
      y.data = nullptr;
      break;
    case 9:
      std::snprintf(error->text, sizeof(error->text), "cancelled: %d", self.host->is_cancelled(call));
      return TFLS_CANCELLED;
    default:
      break;
  }
  self.host->emit(call, &y);
  y.rank = 3;
  self.host->emit(call, &y);  // changes nothing
  return TFLS_INTERNAL;       // nor does this
}

const TflsPlugin kPlugin = {
    .abi_version = TEST_ABI, .struct_size = sizeof(TflsPlugin), .load = Load, .unload = Unload, .signatures = Signatures, .predict = Predict};

}  // namespace

extern "C" TFLS_EXPORT const TflsPlugin* TEST_ENTRY() { return &kPlugin; }
