#include "runtime/litert_handles.h"

#include <algorithm>
#include <cstdlib>

namespace tflite_serving {
namespace {

// The runtime may repeat itself for every operator of a graph; nobody reads further.
constexpr size_t kMaxMessageChars = 1000;

struct FreeDeleter {
  void operator()(char* text) const { std::free(text); }
};

}  // namespace

std::string TakeErrorMessages(LiteRtCompiledModel compiled) {
  char* text = nullptr;
  if (LiteRtCompiledModelGetErrorMessages(compiled, &text) != kLiteRtStatusOk || text == nullptr) return "";
  const std::unique_ptr<char, FreeDeleter> owner(text);
  std::string line;
  for (std::string_view rest = text; !rest.empty() && line.size() < kMaxMessageChars;) {
    std::string_view part = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    while (!part.empty() && (part.back() == ' ' || part.back() == '.')) part.remove_suffix(1);
    if (part.empty()) continue;
    if (!line.empty()) line += "; ";
    line += part.substr(0, kMaxMessageChars);
  }
  LiteRtCompiledModelClearErrors(compiled);
  return line;
}

std::string_view LiteRtStatusText(LiteRtStatus status) {
  switch (status) {
    case kLiteRtStatusOk:
      return "no error";
    case kLiteRtStatusErrorInvalidArgument:
      return "invalid argument";
    case kLiteRtStatusErrorMemoryAllocationFailure:
      return "out of memory";
    case kLiteRtStatusErrorRuntimeFailure:
      return "runtime failure";
    case kLiteRtStatusErrorMissingInputTensor:
      return "missing input tensor";
    case kLiteRtStatusErrorUnsupported:
      return "unsupported";
    case kLiteRtStatusErrorNotFound:
      return "not found";
    case kLiteRtStatusErrorTimeout:
      return "timeout";
    case kLiteRtStatusErrorWrongVersion:
      return "wrong version";
    case kLiteRtStatusErrorUnknown:
      return "unknown error";
    case kLiteRtStatusErrorAlreadyExists:
      return "already exists";
    case kLiteRtStatusCancelled:
      return "cancelled";
    case kLiteRtStatusErrorFileIO:
      return "file I/O";
    case kLiteRtStatusErrorInvalidFlatbuffer:
      return "invalid FlatBuffer";
    case kLiteRtStatusErrorDynamicLoading:
      return "dynamic loading";
    case kLiteRtStatusErrorCompilation:
      return "compilation";
    case kLiteRtStatusErrorIndexOOB:
      return "index out of bounds";
  }
  return "unlisted error";
}

}  // namespace tflite_serving
