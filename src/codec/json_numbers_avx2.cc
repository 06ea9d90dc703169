// The kernel for AVX2 and BMI2. Compiled for them (CMakeLists.txt) and called only where the processor has them.
#include "codec/json_numbers.h"

#if defined(__AVX2__) && defined(__BMI2__)

#include "codec/json_number_scanner_x86.h"

namespace tflite_serving {
namespace {

struct Avx2 {};  // local, as json_number_scanner_x86.h wants it

}  // namespace

const NumberReader* Avx2NumberReader(DType dtype) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") ? ReaderOf<X86Scanner<Avx2>>(dtype)
                                                                                                           : nullptr;
}

}  // namespace tflite_serving

#else

namespace tflite_serving {

const NumberReader* Avx2NumberReader(DType) { return nullptr; }

}  // namespace tflite_serving

#endif
