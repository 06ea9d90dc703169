#include "transport/http_response_head.h"

#include <charconv>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// The phrases of the IANA registry for what this server and the API on top of it answer, and nginx's word for 499; RFC 9112 lets any other be empty.
std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

void AppendNumber(std::string& out, uint64_t number) {
  char digits[20];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), number);
  out.append(digits, end.ptr);
}

void AppendHeaderValue(std::string& out, std::string_view value) {
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
  for (const auto& [name, value] : response.headers) {
    head += "\r\n";
    head += name;
    head += ": ";
    AppendHeaderValue(head, value);
  }
  if (persistence == HttpPersistence::kClose) {
    head += "\r\nConnection: close";
  } else if (persistence == HttpPersistence::kKeepAliveHttp10) {
    head += "\r\nConnection: keep-alive";
  }
  head += "\r\n\r\n";
}

std::string HttpErrorBody(std::string_view message) { return fmt::format("{{\n    \"error\": \"{}\"\n}}", message); }

}  // namespace tflite_serving
