# LiteRT: the shared library of the pinned wheel, put here by tools/setup. The server finds it at run time beside itself ($ORIGIN/../lib).
set(LITERT_LIBRARY "${TFLITE_SERVING_ROOT}/build/litert/libLiteRt.so" CACHE FILEPATH "LiteRT's shared library")
if(NOT EXISTS ${LITERT_LIBRARY})
  message(FATAL_ERROR "${LITERT_LIBRARY} is missing: run tools/setup, which downloads it")
endif()
add_library(litert SHARED IMPORTED GLOBAL)
set_target_properties(litert PROPERTIES IMPORTED_LOCATION ${LITERT_LIBRARY} IMPORTED_NO_SONAME FALSE)
