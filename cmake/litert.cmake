# LiteRT: the shared library of the pinned wheel, put into build/litert by tools/setup. Programs find it at run time beside themselves
# ($ORIGIN/../lib), so it is copied into the build tree's lib/.
set(LITERT_LIBRARY "${TFLITE_SERVING_ROOT}/build/litert/libLiteRt.so" CACHE FILEPATH "LiteRT's shared library")
if(NOT EXISTS ${LITERT_LIBRARY})
  message(FATAL_ERROR "${LITERT_LIBRARY} is missing: run tools/setup, which downloads it")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${LITERT_LIBRARY})
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
file(COPY_FILE ${LITERT_LIBRARY} ${CMAKE_BINARY_DIR}/lib/libLiteRt.so ONLY_IF_DIFFERENT)
add_library(litert SHARED IMPORTED GLOBAL)
set_target_properties(litert PROPERTIES IMPORTED_LOCATION ${CMAKE_BINARY_DIR}/lib/libLiteRt.so IMPORTED_NO_SONAME FALSE)
