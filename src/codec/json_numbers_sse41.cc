// The kernel for SSE4.1. Compiled for it (CMakeLists.txt) and called only where the processor has it.
#include "codec/json_numbers.h"

#if defined(__SSE4_1__)

#include "codec/json_number_scanner_x86.h"

namespace tflite_serving {
namespace {

struct Sse41 {};  // local, as json_number_scanner_x86.h wants it

}  // namespace

const NumberReader* Sse41NumberReader(DType dtype) { return __builtin_cpu_supports("sse4.1") ? ReaderOf<X86Scanner<Sse41>>(dtype) : nullptr; }

}  // namespace tflite_serving

#else

namespace tflite_serving {

const NumberReader* Sse41NumberReader(DType) { return nullptr; }

}  // namespace tflite_serving

#endif
