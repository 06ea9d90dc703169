// A plug-in around a .tflite: takes images of bytes, scales them for the model, and adds the class to what it answers.
//
//   image uint8[n,64] -> probabilities float[n,10], class int64[n]
//
// It runs model.tflite of its version's directory through the server, so that is tried, has its interpreters, and answers in its own memory, which is
// sent from there. `white` in custom_model_config is what the images have for white (255 if it says nothing); the model wants 0 for white and 16 for
// black.
//
//   cc -std=c11 -O2 -shared -fPIC -I include examples/plugin/digits_plugin.c -o libdigits_plugin.so
#include <tflite_serving_plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kPixels = 64, kClasses = 10 };
static const float kBlack = 16;

typedef struct Instance {
  const TflsHost* host;
  TflsModel* model;
  float white;
} Instance;

static const TflsTensorSpec kInputs[] = {{.name = "image", .dtype = TFLS_UINT8, .rank = 2, .dims = {-1, kPixels}}};
static const TflsTensorSpec kOutputs[] = {{.name = "probabilities", .dtype = TFLS_FLOAT, .rank = 2, .dims = {-1, kClasses}},
                                          {.name = "class", .dtype = TFLS_INT64, .rank = 1, .dims = {-1}}};
static const TflsSignature kSignature = {.inputs = kInputs, .num_inputs = 1, .outputs = kOutputs, .num_outputs = 2, .rows_are_independent = 1};

static TflsStatus Fail(TflsStatus code, const char* text, TflsError* error) {
  snprintf(error->text, sizeof(error->text), "%s", text);
  return code;
}

static TflsStatus Load(const TflsLoadOptions* options, void** instance, TflsError* error) {
  float white = 255;
  for (size_t i = 0; i < options->num_parameters; ++i) {
    if (strcmp(options->parameters[i].key, "white") == 0) white = strtof(options->parameters[i].value, NULL);
  }
  if (!(white > 0)) return Fail(TFLS_INVALID_ARGUMENT, "white is no number above 0", error);
  TflsModel* model = NULL;
  const TflsStatus status = options->host->open_model(options->load, "model.tflite", &model, error);
  if (status != TFLS_OK) return status;
  Instance* made = malloc(sizeof(Instance));
  if (made == NULL) return Fail(TFLS_RESOURCE_EXHAUSTED, "no memory", error);
  *made = (Instance){.host = options->host, .model = model, .white = white};
  *instance = made;
  return TFLS_OK;
}

static void Unload(void* instance) { free(instance); }

static size_t Signatures(void* instance, const TflsSignature** signatures) {
  (void)instance;
  *signatures = &kSignature;
  return 1;
}

typedef struct Answer {
  const TflsHost* host;
  TflsCall* call;
  int64_t* classes;
} Answer;

// Called while the model's outputs are there: they are handed on as they are.
static void AddClasses(void* data, const TflsTensor* probabilities) {
  const Answer* answer = data;
  const float* values = probabilities->data;
  const int64_t rows = probabilities->dims[0];
  for (int64_t row = 0; row < rows; ++row) {
    int64_t best = 0;
    for (int64_t i = 1; i < kClasses; ++i) best = values[row * kClasses + i] > values[row * kClasses + best] ? i : best;
    answer->classes[row] = best;
  }
  const TflsTensor outputs[] = {*probabilities,
                                {.dtype = TFLS_INT64, .rank = 1, .dims = {rows}, .data = answer->classes, .bytes = (size_t)rows * sizeof(int64_t)}};
  answer->host->emit(answer->call, outputs);
}

static TflsStatus Predict(void* instance, size_t signature, const TflsTensor* image, TflsCall* call, TflsError* error) {
  (void)signature;
  const Instance* self = instance;
  const size_t rows = (size_t)image->dims[0];
  const size_t bytes = rows * kPixels * sizeof(float);
  // Where the runtime reads it without a copy, and with the bytes behind it that it wants.
  float* pixels = aligned_alloc(TFLS_ALIGNMENT, bytes + TFLS_ALIGNMENT);
  int64_t* classes = malloc((rows + 1) * sizeof(int64_t));
  TflsStatus status = pixels == NULL || classes == NULL ? Fail(TFLS_RESOURCE_EXHAUSTED, "no memory", error) : TFLS_OK;
  if (status == TFLS_OK) {
    const uint8_t* values = image->data;
    for (size_t i = 0; i < rows * kPixels; ++i) pixels[i] = kBlack * (1 - (float)values[i] / self->white);
    const TflsTensor input = {.dtype = TFLS_FLOAT, .rank = 2, .dims = {(int64_t)rows, kPixels}, .data = pixels, .bytes = bytes};
    Answer answer = {.host = self->host, .call = call, .classes = classes};
    status = self->host->run_model(self->model, 0, &input, call, AddClasses, &answer, error);
  }
  free(pixels);
  free(classes);
  return status;
}

static const TflsPlugin kPlugin = {
    .abi_version = TFLS_ABI_VERSION, .struct_size = sizeof(TflsPlugin), .load = Load, .unload = Unload, .signatures = Signatures, .predict = Predict};

const TflsPlugin* tflite_serving_plugin(void) { return &kPlugin; }
