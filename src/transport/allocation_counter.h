// For tests that count allocations. Linked into a program of its own, with the linker told to --wrap malloc, realloc and aligned_alloc, so that every
// call from the program's own code is counted; what shared libraries allocate for themselves is not.
#pragma once

namespace tflite_serving {

// Calls of malloc, realloc, aligned_alloc and operator new so far.
int NumAllocations();

}  // namespace tflite_serving
