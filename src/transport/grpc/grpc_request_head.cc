#include "transport/grpc/grpc_request_head.h"

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr size_t kFieldOverheadBytes = 32;  // RFC 9113, 6.5.2: SETTINGS_MAX_HEADER_LIST_SIZE

}  // namespace

void GrpcRequestHead::Clear() {
  size_bytes_ = 0;
  is_post_ = is_grpc_ = bad_timeout_ = false;
  timeout_.reset();
  encoding_ = GrpcEncoding::kIdentity;
  path_.clear();
  unusual_.clear();
  text_.clear();
  fields_.clear();
}

void GrpcRequestHead::Add(std::string_view name, std::string_view value, size_t max_bytes) {
  size_bytes_ += name.size() + value.size() + kFieldOverheadBytes;
  if (size_bytes_ > max_bytes || name.empty()) return;
  if (name[0] == ':') {
    AddPseudo(name, value);
  } else if (name == "content-type") {
    is_grpc_ = IsGrpcContentType(value);
  } else if (name.starts_with("grpc-")) {
    AddReserved(name, value);
  } else if (name != "te" && name != "user-agent") {
    text_.append(name).append(value);
    fields_.push_back({static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
  }
}

void GrpcRequestHead::AddPseudo(std::string_view name, std::string_view value) {
  if (name == ":path") {
    path_.assign(value);
  } else if (name == ":method") {
    is_post_ = value == "POST";
  }
}

void GrpcRequestHead::AddReserved(std::string_view name, std::string_view value) {
  if (name == "grpc-timeout") {
    timeout_ = ParseGrpcTimeout(value);
    bad_timeout_ = !timeout_.has_value();
    if (bad_timeout_) unusual_.assign(value);
  } else if (name == "grpc-encoding") {
    encoding_ = ParseGrpcEncoding(value);
    if (!encoding_) unusual_.assign(value);
  }
}

GrpcRefusal GrpcRequestHead::Check(size_t max_bytes) const {
  // First, since what makes it too large may be what the other checks would miss.
  if (size_bytes_ > max_bytes) {
    return {.status = ResourceExhaustedError(fmt::format("received metadata size exceeds limit ({} vs. {})", size_bytes_, max_bytes))};
  }
  if (!is_post_) return {.http_status = 405};
  if (!is_grpc_) return {.http_status = 415};
  if (bad_timeout_) {
    return {.status = InternalError(fmt::format("malformed grpc-timeout \"{}\": expected 1 to 8 digits and one of HMSmun", unusual_))};
  }
  if (!encoding_) {
    return {.status = UnimplementedError(
                fmt::format("messages compressed with \"{}\" cannot be read; {} can", std::string_view(unusual_).substr(0, 64), kAcceptedEncodings))};
  }
  return {};
}

std::string_view GrpcRequestHead::metadata(std::string_view name) const {
  std::string_view rest = text_;
  for (const Field& field : fields_) {
    if (rest.substr(0, field.name_size) == name) return rest.substr(field.name_size, field.value_size);
    rest.remove_prefix(field.name_size + field.value_size);
  }
  return {};
}

}  // namespace tflite_serving
