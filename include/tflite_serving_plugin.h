// Code of your own in tflite-serving, as a shared library: a servable (a plug-in), or operators of .tflite models. Plain C99, and complete.
//
//   cc -shared -fPIC -O2 -I include my_plugin.c -o libmy_plugin.so
//
// A library exports tflite_serving_plugin or tflite_serving_operators, or both. It runs in the server's process: a crash of it is a crash of the
// server, and no C++ exception may leave a function of it.
//
// Threads: the server calls from many. What may be called at the same time is said at each function.
// Memory: what a function is given is valid until it returns; what it gives must stay valid as long as said there.
// Failure: a function that fails returns a code and writes its reason into `error`, in one line and without a full stop.
// Versions: a library says the TFLS_ABI_VERSION that it was compiled with, and the server refuses one that it does not know. Within a version structs
// with a struct_size may grow at their end.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TFLS_ABI_VERSION 1
#define TFLS_MAX_RANK 8
#define TFLS_ALIGNMENT 64
#define TFLS_ERROR_CHARS 1024
#define TFLS_EXPORT __attribute__((visibility("default")))

// --- What both kinds use ---

// The element types: tensorflow.DataType's numbers.
enum {
  TFLS_FLOAT = 1,
  TFLS_DOUBLE = 2,
  TFLS_INT32 = 3,
  TFLS_UINT8 = 4,
  TFLS_INT16 = 5,
  TFLS_INT8 = 6,
  TFLS_STRING = 7,
  TFLS_COMPLEX64 = 8,
  TFLS_INT64 = 9,
  TFLS_BOOL = 10,
  TFLS_BFLOAT16 = 14,
  TFLS_UINT16 = 17,
  TFLS_HALF = 19,
  TFLS_UINT32 = 22,
  TFLS_UINT64 = 23
};

// gRPC's canonical codes, of which these are most. A client sees them as they are, and over REST as the HTTP status that belongs to them.
typedef int32_t TflsStatus;
enum {
  TFLS_OK = 0,
  TFLS_CANCELLED = 1,
  TFLS_INVALID_ARGUMENT = 3,
  TFLS_DEADLINE_EXCEEDED = 4,
  TFLS_NOT_FOUND = 5,
  TFLS_RESOURCE_EXHAUSTED = 8,
  TFLS_FAILED_PRECONDITION = 9,
  TFLS_UNIMPLEMENTED = 12,
  TFLS_INTERNAL = 13,
  TFLS_UNAVAILABLE = 14
};

typedef struct TflsError {
  char text[TFLS_ERROR_CHARS];  // ends with 0: snprintf(error->text, sizeof(error->text), …)
} TflsError;

// Elements in row-major order, little-endian, without gaps; a bool is one byte of 0 or 1. Strings as TFLite holds them: int32 count; int32
// offset[count + 1] (from the start of the buffer; offset[count] is its size); the strings' bytes, which need not be text.
typedef struct TflsTensor {
  int32_t dtype;
  int32_t rank;
  int64_t dims[TFLS_MAX_RANK];
  void* data;  // of an input: at a multiple of TFLS_ALIGNMENT, and only to be read
  size_t bytes;
} TflsTensor;

// --- Plug-ins ---

typedef struct TflsTensorSpec {
  const char* name;
  int32_t dtype;
  int32_t rank;
  int64_t dims[TFLS_MAX_RANK];  // -1: any
} TflsTensorSpec;

typedef struct TflsSignature {
  const char* key;          // null: "serving_default"
  const char* method_name;  // null: "tensorflow/serving/predict"
  const TflsTensorSpec* inputs;
  size_t num_inputs;
  const TflsTensorSpec* outputs;
  size_t num_outputs;
  int32_t rows_are_independent;  // not 0: the first dimension counts rows, each answered alone, so the server may put requests together
} TflsSignature;

typedef struct TflsCall TflsCall;    // one request, until predict returns
typedef struct TflsModel TflsModel;  // a .tflite that the server runs for a plug-in
typedef struct TflsLoad TflsLoad;    // one load, until load returns

// One tensor for each output of the signature, in its order, valid until this returns. `data` is the caller's own.
typedef void (*TflsOutputs)(void* data, const TflsTensor* outputs);

// What the server does for a plug-in. Valid until unload returns; all functions may be called from any thread at any time, but for open_model.
typedef struct TflsHost {
  uint32_t struct_size;

  // Answers the request. The tensors are checked against the signature and written into the reply before this returns; then their memory may
  // be used again. To be called once in a predict that succeeds; what comes after it changes nothing.
  void (*emit)(TflsCall* call, const TflsTensor* outputs);

  // Not 0 once nobody waits for the answer any more: the client went away, or the deadline has passed.
  int32_t (*is_cancelled)(const TflsCall* call);

  // Opens the .tflite at `path`, relative to servable_path, as the server does its own models: tried in a process of its own first, with interpreters
  // for as many requests at a time as tflite_options or the flags say. In load alone. It is closed after unload.
  TflsStatus (*open_model)(TflsLoad* load, const char* path, TflsModel** model, TflsError* error);

  // Its signatures, valid as long as the model; returns how many.
  size_t (*model_signatures)(const TflsModel* model, const TflsSignature** signatures);

  // Runs signature number `signature` and calls `outputs` with the model's own memory, in which emit may be called; then returns. Waits for an
  // interpreter, and ends with `call` (null: never). Inputs at multiples of TFLS_ALIGNMENT are read where they are, and must have TFLS_ALIGNMENT
  // readable bytes behind them; others are copied.
  TflsStatus (*run_model)(TflsModel* model, size_t signature, const TflsTensor* inputs, const TflsCall* call, TflsOutputs outputs, void* data,
                          TflsError* error);

  // A line in the server's log. Level 0: debug, 1: info, 2: warning, 3: error.
  void (*log)(int32_t level, const char* text);
} TflsHost;

typedef struct TflsParameter {
  const char* key;
  const char* value;
} TflsParameter;

typedef struct TflsLoadOptions {
  uint32_t struct_size;
  TflsLoad* load;
  const TflsHost* host;
  const char* name;  // of the model
  int64_t version;
  const char* servable_path;        // its version's directory
  const TflsParameter* parameters;  // the further keys of custom_model_config, sorted
  size_t num_parameters;
} TflsLoadOptions;

typedef struct TflsPlugin {
  uint32_t abi_version;  // TFLS_ABI_VERSION
  uint32_t struct_size;  // sizeof(TflsPlugin)

  // Makes an instance for one version of a model; several may live at once, and be made at the same time.
  TflsStatus (*load)(const TflsLoadOptions* options, void** instance, TflsError* error);

  // Ends one; nothing else is called for it from then on.
  void (*unload)(void* instance);

  // Its signatures, at least one, which never change; returns how many. Called once after load, and read before anything else is called.
  size_t (*signatures)(void* instance, const TflsSignature** signatures);

  // Answers a request to signature number `signature`, whose inputs have been checked against it, with host->emit or an error. Called from many
  // threads at the same time.
  TflsStatus (*predict)(void* instance, size_t signature, const TflsTensor* inputs, TflsCall* call, TflsError* error);
} TflsPlugin;

TFLS_EXPORT const TflsPlugin* tflite_serving_plugin(void);

// --- Operators ---

// A CUSTOM operator of .tflite models. What it answers may depend on its options and its inputs alone, and the shapes of its outputs on the options
// and on the shapes and constants among its inputs. Outputs are numbers or bools, without dimensions of 0.
typedef struct TflsOperator {
  const char* name;  // custom_code in the file
  int32_t version;

  // For each place of a model where it stands, and each interpreter; at the same time too. `options` are the file's custom_options.
  TflsStatus (*init)(const void* options, size_t bytes, void** instance, TflsError* error);

  // Sets rank and dims of the outputs; their dtype is set. Of the inputs only constants have data, at any alignment. Again when shapes change.
  TflsStatus (*prepare)(void* instance, const TflsTensor* inputs, size_t num_inputs, TflsTensor* outputs, size_t num_outputs, TflsError* error);

  // Writes the outputs' data, of `bytes` bytes. An instance is used by one thread at a time, different ones at the same time.
  TflsStatus (*run)(void* instance, const TflsTensor* inputs, size_t num_inputs, const TflsTensor* outputs, size_t num_outputs, TflsError* error);

  // Null: there is nothing to do.
  void (*destroy)(void* instance);
} TflsOperator;

typedef struct TflsOperators {
  uint32_t abi_version;  // TFLS_ABI_VERSION
  uint32_t struct_size;  // sizeof(TflsOperators)
  const TflsOperator* operators;
  size_t num_operators;
} TflsOperators;

TFLS_EXPORT const TflsOperators* tflite_serving_operators(void);

#ifdef __cplusplus
}
#endif
