// Our own declarations of the part of LiteRT's C API that this server calls; the runtime's package brings a shared library without headers.
//
// Every name, argument order and number here was checked against libLiteRt.so 2.3.0, the version that tools/setup pins: a new version needs a new
// look. Only interpreter.cc, library_operator.cc, model.cc and profiler_events.cc call these; everything else uses what is declared there.
//
// Unless it says otherwise a function returns kLiteRtStatusOk or the reason why not, and writes its result through its last pointer.
// Thread safety: a compiled model belongs to one thread at a time. Environments, models and options may be read by many.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

enum LiteRtStatus : int {
  kLiteRtStatusOk = 0,
  kLiteRtStatusErrorInvalidArgument = 1,
  kLiteRtStatusErrorMemoryAllocationFailure = 2,
  kLiteRtStatusErrorRuntimeFailure = 3,
  kLiteRtStatusErrorMissingInputTensor = 4,
  kLiteRtStatusErrorUnsupported = 5,
  kLiteRtStatusErrorNotFound = 6,
  kLiteRtStatusErrorTimeout = 7,
  kLiteRtStatusErrorWrongVersion = 8,
  kLiteRtStatusErrorUnknown = 9,
  kLiteRtStatusErrorAlreadyExists = 10,
  kLiteRtStatusCancelled = 100,
  kLiteRtStatusErrorFileIO = 500,
  kLiteRtStatusErrorInvalidFlatbuffer = 501,
  kLiteRtStatusErrorDynamicLoading = 502,
  kLiteRtStatusErrorCompilation = 504,
  kLiteRtStatusErrorIndexOOB = 1000,
};

// The element types, with TFLite's numbers (kTfLite*).
enum LiteRtElementType : int {
  kLiteRtElementTypeNone = 0,
  kLiteRtElementTypeFloat32 = 1,
  kLiteRtElementTypeInt32 = 2,
  kLiteRtElementTypeUInt8 = 3,
  kLiteRtElementTypeInt64 = 4,
  kLiteRtElementTypeTfString = 5,
  kLiteRtElementTypeBool = 6,
  kLiteRtElementTypeInt16 = 7,
  kLiteRtElementTypeComplex64 = 8,
  kLiteRtElementTypeInt8 = 9,
  kLiteRtElementTypeFloat16 = 10,
  kLiteRtElementTypeFloat64 = 11,
  kLiteRtElementTypeComplex128 = 12,
  kLiteRtElementTypeUInt64 = 13,
  kLiteRtElementTypeUInt32 = 16,
  kLiteRtElementTypeUInt16 = 17,
  kLiteRtElementTypeBFloat16 = 19,
};

// A shape. Eight dimensions at most; the strides are ours to leave out.
struct LiteRtLayout {
  unsigned rank : 7;
  bool has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
};
static_assert(sizeof(LiteRtLayout) == 68);

struct LiteRtRankedTensorType {
  LiteRtElementType element_type;
  LiteRtLayout layout;
};
static_assert(sizeof(LiteRtRankedTensorType) == 72);

struct LiteRtAny {
  int type;  // kLiteRtAnyTypeInt
  union {
    bool bool_value;
    int64_t int_value;
    double real_value;
    const char* str_value;
    const void* ptr_value;
  };
};
static_assert(sizeof(LiteRtAny) == 16);
inline constexpr int kLiteRtAnyTypeInt = 2;

struct LiteRtEnvOption {
  int tag;
  LiteRtAny value;
};
static_assert(sizeof(LiteRtEnvOption) == 24);
inline constexpr int kLiteRtEnvOptionTagAutoRegisterAccelerators = 24;  // a bitmask of kLiteRtHwAccelerator*
inline constexpr int kLiteRtEnvOptionTagMinLoggerSeverity = 25;         // kLiteRtLogSeverity*
inline constexpr int kLiteRtLogSeveritySilent = 4;
inline constexpr int kLiteRtHwAcceleratorCpu = 1;

typedef size_t LiteRtParamIndex;
typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtSignatureT* LiteRtSignature;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT* LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT* LiteRtTensorBufferRequirements;
typedef struct LiteRtProfilerT* LiteRtProfiler;

LiteRtStatus LiteRtCreateEnvironment(int num_options, const LiteRtEnvOption* options, LiteRtEnvironment* environment);
void LiteRtDestroyEnvironment(LiteRtEnvironment environment);

// `address` is read, not copied: it must outlive the model.
LiteRtStatus LiteRtCreateModelFromBuffer(LiteRtEnvironment environment, const void* address, size_t size, LiteRtModel* model);
void LiteRtDestroyModel(LiteRtModel model);
LiteRtStatus LiteRtGetNumModelSignatures(LiteRtModel model, LiteRtParamIndex* count);
LiteRtStatus LiteRtGetModelSignature(LiteRtModel model, LiteRtParamIndex index, LiteRtSignature* signature);
LiteRtStatus LiteRtGetSignatureKey(LiteRtSignature signature, const char** key);
LiteRtStatus LiteRtGetNumSignatureInputs(LiteRtSignature signature, LiteRtParamIndex* count);
LiteRtStatus LiteRtGetNumSignatureOutputs(LiteRtSignature signature, LiteRtParamIndex* count);

LiteRtStatus LiteRtCreateOptions(LiteRtOptions* options);
void LiteRtDestroyOptions(LiteRtOptions options);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);
// `payload` belongs to the result from then on and is freed with `free_payload`.
LiteRtStatus LiteRtCreateOpaqueOptions(const char* identifier, void* payload, void (*free_payload)(void*), LiteRtOpaqueOptions* opaque);
struct LiteRtCustomOpKernel {
  // For each place where the operator stands; `options` are those of the file. What these return is not looked at, in none of them.
  LiteRtStatus (*Init)(void* data, const void* options, size_t options_bytes);
  // While memory is planned. `outputs` come empty, and no element types are told.
  LiteRtStatus (*GetOutputLayouts)(void* data, size_t num_inputs, const LiteRtLayout* inputs, size_t num_outputs, LiteRtLayout* outputs);
  LiteRtStatus (*Run)(void* data, size_t num_inputs, const LiteRtTensorBuffer* inputs, size_t num_outputs, LiteRtTensorBuffer* outputs);
  LiteRtStatus (*Destroy)(void* data);
};
// Runs custom operators of this name and version with `kernel`, which is copied. `data` must outlive what is compiled with the options. Their inputs
// must all be there, at multiples of 64 bytes (constants of the file too), and their outputs no strings.
LiteRtStatus LiteRtAddCustomOpKernelOption(LiteRtOptions options, const char* name, int version, const LiteRtCustomOpKernel* kernel, void* data);
void LiteRtDestroyOpaqueOptions(LiteRtOpaqueOptions opaque);
// Takes `opaque` over, if it succeeds.
LiteRtStatus LiteRtAddOpaqueOptions(LiteRtOptions options, LiteRtOpaqueOptions opaque);

LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model, LiteRtOptions options, LiteRtCompiledModel* compiled);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel compiled);
// Refused for inputs of rank 0.
LiteRtStatus LiteRtCompiledModelResizeInputTensorNonStrict(LiteRtCompiledModel compiled, LiteRtParamIndex signature, LiteRtParamIndex input,
                                                           const int* dims, size_t rank);
// `layouts` has room for one each output. With `update_allocation` the memory plan is renewed first, if inputs were resized.
LiteRtStatus LiteRtGetCompiledModelOutputTensorLayouts(LiteRtCompiledModel compiled, LiteRtParamIndex signature, size_t count, LiteRtLayout* layouts,
                                                       bool update_allocation);
// The result belongs to the compiled model.
LiteRtStatus LiteRtGetCompiledModelInputBufferRequirements(LiteRtCompiledModel compiled, LiteRtParamIndex signature, LiteRtParamIndex input,
                                                           LiteRtTensorBufferRequirements* requirements);
LiteRtStatus LiteRtGetCompiledModelOutputBufferRequirements(LiteRtCompiledModel compiled, LiteRtParamIndex signature, LiteRtParamIndex output,
                                                            LiteRtTensorBufferRequirements* requirements);
LiteRtStatus LiteRtGetTensorBufferRequirementsBufferSize(LiteRtTensorBufferRequirements requirements, size_t* size_bytes);
// Buffers are named by position in the subgraph's inputs and outputs. They may be remade between runs.
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel compiled, LiteRtParamIndex signature, size_t num_inputs, LiteRtTensorBuffer* inputs,
                                    size_t num_outputs, LiteRtTensorBuffer* outputs);
// `cancelled` is asked before each operator of a run; once it says yes the run ends with kLiteRtStatusCancelled.
LiteRtStatus LiteRtSetCompiledModelCancellationFunction(LiteRtCompiledModel compiled, void* data, bool (*cancelled)(void*));
// What the runtime said about its failures; the caller frees it with free(). Needs the buffering error reporter (see runtime options).
LiteRtStatus LiteRtCompiledModelGetErrorMessages(LiteRtCompiledModel compiled, char** messages);
LiteRtStatus LiteRtCompiledModelClearErrors(LiteRtCompiledModel compiled);

// Wraps memory without copying. `deallocate` may be null: the memory stays the caller's and must outlive the buffer.
LiteRtStatus LiteRtCreateTensorBufferFromHostMemory(const LiteRtRankedTensorType* type, void* address, size_t size, void (*deallocate)(void*),
                                                    LiteRtTensorBuffer* buffer);
LiteRtStatus LiteRtGetTensorBufferTensorType(LiteRtTensorBuffer buffer, LiteRtRankedTensorType* type);
LiteRtStatus LiteRtGetTensorBufferSize(LiteRtTensorBuffer buffer, size_t* size_bytes);
// Of a buffer over host memory: where that is. `mode` 0: to read, 1: to write.
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer buffer, void** address, int mode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer buffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);

// --- Profiling ---

enum LiteRtEventType : int {
  kLiteRtEventTypeDefault = 1,          // the runtime's own: "Invoke" for a graph, "AllocateTensors", …
  kLiteRtEventTypeOperator = 2,         // one that runs outside of delegates
  kLiteRtEventTypeDelegatedKernel = 8,  // what a delegate ran; told at the end of its partition
  kLiteRtEventTypeTelemetry = 32,
};

struct LiteRtProfiledEvent {
  const char* tag;  // the profiler's, until it is started again
  LiteRtEventType type;
  uint64_t start_us;       // 0 for a delegated kernel
  uint64_t elapsed_us;     // whole ones
  size_t memory_bytes[6];  // in all, in use and private; before and after
  uint64_t index;          // of the operator in its graph, or of the kernel in its partition
  uint64_t graph;          // the subgraph's number
  int source;
};
static_assert(sizeof(LiteRtProfiledEvent) == 104);

// Null unless it was compiled with "enable_profiling = true" among the runtime options. It belongs to the compiled model.
LiteRtStatus LiteRtCompiledModelGetProfiler(LiteRtCompiledModel compiled, LiteRtProfiler* profiler);
// Forgets what was noted before.
LiteRtStatus LiteRtStartProfiler(LiteRtProfiler profiler);
LiteRtStatus LiteRtStopProfiler(LiteRtProfiler profiler);
// Of the last 2048, which is all that it keeps.
LiteRtStatus LiteRtGetNumProfilerEvents(LiteRtProfiler profiler, int* count);
LiteRtStatus LiteRtGetProfilerEvents(LiteRtProfiler profiler, int count, LiteRtProfiledEvent* events);

}  // extern "C"
