#include "server/probe_command.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <openssl/ssl.h>

#include "base/file.h"
#include "base/unique_fd.h"
#include "config/flags.h"
#include "server/entrypoint.h"

namespace tflite_serving {
namespace {

constexpr std::chrono::seconds kTimeLimit{5};  // for each step; HEALTHCHECK has a limit of its own
constexpr size_t kMaxReplyBytes = size_t{64} << 10;
constexpr const char* kFirstProcess = "/proc/1/cmdline";
constexpr size_t kMaxCommandLineBytes = size_t{1} << 20;

StatusOr<UniqueFd> ConnectTo(int family, const sockaddr* address, socklen_t size) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = kTimeLimit.count(), .tv_usec = 0};
  if (!fd.valid() || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 || ::connect(fd.get(), address, size) != 0) {
    return ErrnoToStatus(errno, "connect");
  }
  return fd;
}

StatusOr<UniqueFd> Connect(const ProbeTarget& target) {
  if (!target.socket_path.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (target.socket_path.size() >= sizeof(address.sun_path)) return InvalidArgumentError("the path of the Unix socket is too long");
    std::memcpy(address.sun_path, target.socket_path.data(), target.socket_path.size());
    return ConnectTo(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  const addrinfo hints{.ai_flags = AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found); error != 0) {
    return UnavailableError(::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  StatusOr<UniqueFd> connected = UnavailableError("no address");
  for (const addrinfo* one = found; one != nullptr && !connected.ok(); one = one->ai_next) {
    connected = ConnectTo(one->ai_family, one->ai_addr, one->ai_addrlen);
  }
  return connected;
}

// What comes back for `request` until the server closes, or kMaxReplyBytes of it.
StatusOr<std::string> Exchange(int fd, bool tls, const std::string& request) {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(nullptr, SSL_CTX_free);
  std::unique_ptr<SSL, decltype(&SSL_free)> stream(nullptr, SSL_free);
  if (tls) {
    context.reset(SSL_CTX_new(TLS_client_method()));
    if (context != nullptr) stream.reset(SSL_new(context.get()));
    if (stream == nullptr || SSL_set_fd(stream.get(), fd) != 1 || SSL_connect(stream.get()) != 1) return UnavailableError("TLS failed");
  }
  const auto size = static_cast<int>(request.size());
  const ssize_t sent = tls ? SSL_write(stream.get(), request.data(), size) : ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != size) return UnavailableError("the request could not be sent");
  std::string reply;
  char piece[4096];
  while (reply.size() < kMaxReplyBytes) {
    const ssize_t received = tls ? SSL_read(stream.get(), piece, sizeof(piece)) : ::recv(fd, piece, sizeof(piece), 0);
    if (received <= 0) break;
    reply.append(piece, static_cast<size_t>(received));
  }
  return reply;
}

// The body of a reply with status 200.
StatusOr<std::string> Ask(const ProbeTarget& target) {
  TFLS_ASSIGN_OR_RETURN(const UniqueFd fd, Connect(target));
  if (target.path.empty()) return std::string("it takes connections");
  const std::string host = target.socket_path.empty() ? target.host : "localhost";
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.path, host);
  TFLS_ASSIGN_OR_RETURN(std::string reply, Exchange(fd.get(), target.tls, request));
  const size_t head = reply.find("\r\n\r\n");
  if (!reply.starts_with("HTTP/1.1 ") || head == std::string::npos) return UnavailableError("no answer in time");
  const bool is_ok = reply.starts_with("HTTP/1.1 200 ");
  std::string body = reply.substr(head + 4);
  if (is_ok) return body;
  return UnavailableError(fmt::format("{}\n{}", reply.substr(0, reply.find("\r\n")), body));
}

std::string NameOf(const ProbeTarget& target) {
  if (!target.socket_path.empty()) return fmt::format("{} {}", target.socket_path, target.path);
  return fmt::format("{}{}:{}{}", target.path.empty() ? "" : target.tls ? "https://" : "http://", target.host, target.port, target.path);
}

ProbeTarget ThisContainers() {
  const StatusOr<std::string> first = ReadFile(kFirstProcess, kMaxCommandLineBytes);
  std::optional<ProbeTarget> target;
  if (first.ok()) target = ProbeTargetOf(*first);
  return target.value_or(ProbeTarget());
}

}  // namespace

StatusOr<ProbeTarget> ParseProbeUrl(std::string_view url) {
  const Status malformed = InvalidArgumentError(fmt::format("\"{}\": expected http://HOST:PORT/PATH, or https://", url));
  ProbeTarget target;
  target.tls = url.starts_with("https://");
  if (!target.tls && !url.starts_with("http://")) return malformed;
  url.remove_prefix(url.find("//") + 2);
  const std::string_view authority = url.substr(0, url.find('/'));
  if (authority.size() < url.size()) target.path = url.substr(authority.size());
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = authority.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  target.port = colon == std::string_view::npos ? (target.tls ? "443" : "80") : authority.substr(colon + 1);
  target.host = host;
  const bool is_number = !target.port.empty() && std::ranges::all_of(target.port, [](char c) { return c >= '0' && c <= '9'; });
  const bool is_plain = std::ranges::all_of(url, [](unsigned char c) { return c > ' ' && c < 0x7f; });
  if (host.empty() || !is_number || !is_plain) return malformed;
  return target;
}

ProbeTarget ProbeTargetOf(const ServerOptions& options) {
  ProbeTarget target{.tls = !options.tls_certificate_file.empty()};
  if (!options.bind_address.empty()) target.host = options.bind_address;
  const bool has_rest = options.rest_api_port != 0 || !options.rest_api_socket_path.empty();
  const int port = has_rest ? options.rest_api_port : options.port;
  target.port = fmt::to_string(port);
  if (port == 0) target.socket_path = has_rest ? options.rest_api_socket_path : options.grpc_socket_path;
  // gRPC is not spoken here, and there is no certificate to show.
  if (!has_rest || (target.tls && !options.tls_client_ca_file.empty() && options.tls_require_client_certificate)) target.path.clear();
  return target;
}

std::optional<ProbeTarget> ProbeTargetOf(std::string_view command_line) {
  std::vector<std::string> words;
  for (; !command_line.empty(); command_line.remove_prefix(std::min(command_line.size(), words.back().size() + 1))) {
    words.emplace_back(command_line.substr(0, command_line.find('\0')));
  }
  const auto program = std::ranges::find_if(words, [](const std::string& word) { return IsEntrypoint(word) || IsServer(word); });
  if (program == words.end()) return std::nullopt;
  std::vector<const char*> arguments;
  std::transform(program + 1, words.end(), std::back_inserter(arguments), [](const std::string& word) { return word.c_str(); });
  EntrypointArguments read;
  if (IsEntrypoint(*program)) {
    const auto variable = [](const char* name) -> const char* { return std::getenv(name); };  // NOLINT(concurrency-mt-unsafe): nobody sets any
    read = ReadEntrypoint(arguments, variable, [](const std::string&) { return true; });
    arguments.assign(read.arguments.size(), nullptr);
    std::ranges::transform(read.arguments, arguments.begin(), [](const std::string& word) { return word.c_str(); });
  }
  const StatusOr<ParsedFlags> flags = ParseFlags(arguments);
  if (!flags.ok() || flags->action != ParsedFlags::Action::kServe) return std::nullopt;
  return ProbeTargetOf(flags->options);
}

std::optional<int> RunProbeCommand(std::span<const char* const> arguments) {
  if (arguments.empty() || std::string_view(arguments[0]) != "probe") return std::nullopt;
  if (arguments.size() > 2 || (arguments.size() == 2 && arguments[1][0] == '-')) {
    std::fputs(
        "usage: tflite_model_server probe [URL]     whether the server answers with 200; without a URL this container's: /readyz of its REST port\n",
        stderr);
    return EXIT_FAILURE;
  }
  const StatusOr<ProbeTarget> target = arguments.size() == 2 ? ParseProbeUrl(arguments[1]) : ThisContainers();
  const StatusOr<std::string> body = target.ok() ? Ask(*target) : target.status();
  if (!body.ok()) {
    std::fprintf(stderr, "probe: %s%s%s\n", target.ok() ? NameOf(*target).c_str() : "", target.ok() ? ": " : "", body.status().message().c_str());
    return EXIT_FAILURE;
  }
  std::printf("%s\n", body->c_str());
  return EXIT_SUCCESS;
}

}  // namespace tflite_serving
