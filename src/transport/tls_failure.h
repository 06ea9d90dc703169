// Why a client did not get through to a server: the TLS handshake failed, or one side spoke TLS and the other did not.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tflite_serving {

enum class TlsFailure {
  kNoClientCertificate,  // one is required
  kBadCertificate,       // of the client: no client CA vouches for it, it is not valid yet, or not meant for clients
  kExpired,              // likewise
  kProtocolVersion,      // older than TLS 1.2
  kNoAlpn,               // the client does not speak the port's protocol
  kTimeout,
  kNotTls,           // it speaks something else
  kRefusedByClient,  // which does not trust the server's certificate, as a rule
  kClosed,           // the client has gone; so do probes that only connect
  kPlainPort,        // it speaks TLS, and the port does not
  kOther,
};

// What a client's first byte is, if it speaks TLS: the type of a record with a handshake in it.
inline constexpr char kTlsFirstByte = 0x16;

// By number; labels of a metric.
inline constexpr std::array<std::string_view, 11> kTlsFailureNames = {"no_client_certificate",
                                                                      "bad_certificate",
                                                                      "expired",
                                                                      "protocol_version",
                                                                      "no_alpn",
                                                                      "timeout",
                                                                      "not_tls",
                                                                      "refused_by_client",
                                                                      "closed",
                                                                      "plain_port",
                                                                      "other"};
inline constexpr std::string_view TlsFailureName(TlsFailure failure) { return kTlsFailureNames[static_cast<size_t>(failure)]; }

}  // namespace tflite_serving
