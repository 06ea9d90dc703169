// An operator of .tflite models: UnitRows scales each row (the last dimension) of a float tensor to length 1.
//
// Its custom_options are one float, little-endian: what is added to each length, so that no row of zeros is divided by 0.
//
//   cc -std=c99 -O2 -shared -fPIC -I include examples/custom_operator/unit_rows.c -o libunit_rows.so -lm
//   tflite_model_server --rest_api_port=8501 --model_base_path=$PWD/examples/custom_operator/model.tflite --custom_op_library=$PWD/libunit_rows.so
//   curl -d '{"instances": [[3, 0, 4]]}' localhost:8501/v1/models/default:predict
//
// make_model.py makes the model: a converter leaves such an operator in a file with allow_custom_ops.
#include <tflite_serving_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static TflsStatus Fail(TflsStatus code, const char* text, TflsError* error) {
  snprintf(error->text, sizeof(error->text), "%s", text);
  return code;
}

static TflsStatus Init(const void* options, size_t bytes, void** instance, TflsError* error) {
  if (bytes != sizeof(float)) return Fail(TFLS_INVALID_ARGUMENT, "expected one float of custom_options", error);
  float* epsilon = malloc(sizeof(float));
  if (epsilon == NULL) return Fail(TFLS_RESOURCE_EXHAUSTED, "no memory", error);
  memcpy(epsilon, options, sizeof(float));
  *instance = epsilon;
  return TFLS_OK;
}

static TflsStatus Prepare(void* instance, const TflsTensor* inputs, size_t num_inputs, TflsTensor* outputs, size_t num_outputs, TflsError* error) {
  (void)instance;
  if (num_inputs != 1 || num_outputs != 1 || inputs->dtype != TFLS_FLOAT || outputs->dtype != TFLS_FLOAT || inputs->rank < 1) {
    return Fail(TFLS_INVALID_ARGUMENT, "expected one input and one output of float, with a dimension at least", error);
  }
  outputs->rank = inputs->rank;
  memcpy(outputs->dims, inputs->dims, sizeof(inputs->dims));
  return TFLS_OK;
}

static TflsStatus Run(void* instance, const TflsTensor* inputs, size_t num_inputs, const TflsTensor* outputs, size_t num_outputs, TflsError* error) {
  (void)num_inputs;
  (void)num_outputs;
  (void)error;
  const float epsilon = *(const float*)instance;
  const float* from = inputs->data;
  float* to = outputs->data;
  const int64_t width = inputs->dims[inputs->rank - 1];
  for (const float* end = from + inputs->bytes / sizeof(float); from < end; from += width, to += width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += from[i] * from[i];
    for (int64_t i = 0; i < width; ++i) to[i] = from[i] / (sqrtf(sum) + epsilon);
  }
  return TFLS_OK;
}

static const TflsOperator kOperators[] = {{.name = "UnitRows", .version = 1, .init = Init, .prepare = Prepare, .run = Run, .destroy = free}};
static const TflsOperators kLibrary = {
    .abi_version = TFLS_ABI_VERSION, .struct_size = sizeof(TflsOperators), .operators = kOperators, .num_operators = 1};

const TflsOperators* tflite_serving_operators(void) { return &kLibrary; }
