#include "transport/http/http_response_head.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// The phrases of the IANA registry for what this server and the API on top of it answer, and nginx's word for 499; the most frequent first.
constexpr std::pair<int, std::string_view> kReasonPhrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

// RFC 9112 lets a phrase be empty.
std::string_view ReasonPhrase(int status) {
  for (const auto& [known, phrase] : kReasonPhrases) {
    if (known == status) return phrase;
  }
  return {};
}

void AppendNumber(std::string& out, uint64_t number) {
  char digits[20];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), number);
  out.append(digits, end.ptr);
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += "\r\n";
  out += name;
  out += ": ";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
  }
}

}  // namespace

void HttpResponse::Clear() {
  status = 200;
  content_type = "application/json";
  headers.clear();
  ids.Clear();
  body.clear();
}

std::string_view HttpDate::At(std::time_t now) {
  if (now != rendered_) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    const auto end = fmt::format_to_n(text_, sizeof(text_) - 1, "{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday], utc.tm_mday,
                                      kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    *end.out = '\0';
    rendered_ = now;
  }
  return text_;
}

bool StatusHasBody(int status) { return status != 204 && status != 304; }

void RenderResponseHead(const HttpResponse& response, std::string_view date, HttpPersistence persistence, std::string& head) {
  head.assign("HTTP/1.1 ");
  AppendNumber(head, static_cast<uint64_t>(response.status));
  head += ' ';
  head += ReasonPhrase(response.status);
  head += "\r\nDate: ";
  head += date;
  if (StatusHasBody(response.status)) {
    head += "\r\nContent-Type: ";
    head += response.content_type;
    head += "\r\nContent-Length: ";
    AppendNumber(head, response.body.size());
  }
  for (const auto& [name, value] : response.headers) AppendHeader(head, name, value);
  if (!response.ids.request_id.empty()) AppendHeader(head, "X-Request-Id", response.ids.request_id);
  if (!response.ids.traceparent.empty()) AppendHeader(head, "traceparent", response.ids.traceparent);
  if (persistence == HttpPersistence::kClose) {
    head += "\r\nConnection: close";
  } else if (persistence == HttpPersistence::kKeepAliveHttp10) {
    head += "\r\nConnection: keep-alive";
  }
  head += "\r\n\r\n";
}

std::string HttpErrorBody(std::string_view message) { return fmt::format("{{\n    \"error\": \"{}\"\n}}", message); }

}  // namespace tflite_serving
