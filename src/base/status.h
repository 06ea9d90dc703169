// Status and StatusOr: how every failure travels in this server. No exception crosses a function boundary of ours.
//
// The codes are the 17 canonical ones of gRPC, with the same numbers, because they go onto the wire as they are (google.rpc.Code).
// The spelling follows Abseil's; Debian's Abseil is not used because it brings its own string_view and false races under TSan.
//
// Messages are read by people. They name the thing and both values: `input "x": expected float[?,4], got int64[2,3]`.
//
// Both types are values: thread-compatible.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tflite_serving {

enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
inline constexpr size_t kNumStatusCodes = 17;

// "INVALID_ARGUMENT" for kInvalidArgument, and so on.
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "OK", or "INVALID_ARGUMENT: message".
  std::string ToString() const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return {}; }
inline Status CancelledError(std::string m) { return {StatusCode::kCancelled, std::move(m)}; }
inline Status UnknownError(std::string m) { return {StatusCode::kUnknown, std::move(m)}; }
inline Status InvalidArgumentError(std::string m) { return {StatusCode::kInvalidArgument, std::move(m)}; }
inline Status DeadlineExceededError(std::string m) { return {StatusCode::kDeadlineExceeded, std::move(m)}; }
inline Status NotFoundError(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
inline Status ResourceExhaustedError(std::string m) { return {StatusCode::kResourceExhausted, std::move(m)}; }
inline Status FailedPreconditionError(std::string m) { return {StatusCode::kFailedPrecondition, std::move(m)}; }
inline Status OutOfRangeError(std::string m) { return {StatusCode::kOutOfRange, std::move(m)}; }
inline Status UnimplementedError(std::string m) { return {StatusCode::kUnimplemented, std::move(m)}; }
inline Status InternalError(std::string m) { return {StatusCode::kInternal, std::move(m)}; }
inline Status UnavailableError(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
inline Status DataLossError(std::string m) { return {StatusCode::kDataLoss, std::move(m)}; }

// "open /models/a.tflite: No such file or directory" with the code that fits `error` (an errno value).
Status ErrnoToStatus(int error, std::string_view doing);

// A T or the reason why there is none.
//
//   StatusOr<Model> model = Model::Load(path);
//   if (!model.ok()) return model.status();
//   model->Use();
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor): returned as a plain T
  StatusOr(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor): returned as a plain Status
    if (status_.ok()) status_ = InternalError("a StatusOr was made from an OK status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Requires ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;  // OK if and only if value_ is set
  std::optional<T> value_;
};

// Returns from the enclosing function if `expression` is not OK.
#define TFLS_RETURN_IF_ERROR(expression)                                                            \
  do {                                                                                              \
    if (::tflite_serving::Status tfls_status = (expression); !tfls_status.ok()) return tfls_status; \
  } while (false)

// TFLS_ASSIGN_OR_RETURN(Model model, Model::Load(path));
#define TFLS_ASSIGN_OR_RETURN(declaration, expression) TFLS_ASSIGN_OR_RETURN_IMPL(TFLS_CONCAT(tfls_result_, __LINE__), declaration, expression)
#define TFLS_ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                       \
  if (!result.ok()) return result.status();                         \
  declaration = *std::move(result)
#define TFLS_CONCAT(a, b) TFLS_CONCAT_IMPL(a, b)
#define TFLS_CONCAT_IMPL(a, b) a##b

}  // namespace tflite_serving
