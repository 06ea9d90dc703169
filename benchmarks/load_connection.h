// One connection of the load generator (open_load.cc): sends a prepared request and tells what came of it.
//
// For one thread. Sockets are non-blocking; after each Send the connection writes what the socket takes, and the owner calls OnReady whenever epoll,
// edge-triggered, tells of the descriptor. A connection that the server closes fails what was under way and opens a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tflite_serving {

enum class Outcome : uint8_t {
  kOk = 0,
  kRefused = 1,     // 503, RESOURCE_EXHAUSTED, UNAVAILABLE
  kFailed = 2,      // any other answer, or none because the connection ended
  kUnanswered = 3,  // until the generator gave up
};

// What is sent, over and over.
struct LoadRequest {
  uint16_t port = 0;  // of the loopback address
  std::string path;
  std::string content_type;
  std::string body;  // of HTTP, or the frame of one gRPC message
};

class LoadConnection {
 public:
  // `id` is the one that was sent. Must not call Send: it runs inside of the connection.
  using Done = std::function<void(LoadConnection& connection, size_t id, Outcome outcome)>;
  // The descriptor is a new one, to be watched.
  using Opened = std::function<void(LoadConnection& connection, int descriptor)>;

  virtual ~LoadConnection() = default;

  // Connects; ends the program with a message where nobody listens, since there is nothing to measure then.
  virtual void Open() = 0;
  // Begins a request. HTTP has one at a time, gRPC as many as streams were agreed; the owner counts.
  virtual void Send(size_t id) = 0;
  // The socket may be readable or writable.
  virtual void OnReady() = 0;
};

// `request` is borrowed for the life of the connection.
std::unique_ptr<LoadConnection> MakeHttpLoadConnection(const LoadRequest& request, LoadConnection::Opened opened, LoadConnection::Done done);
std::unique_ptr<LoadConnection> MakeGrpcLoadConnection(const LoadRequest& request, LoadConnection::Opened opened, LoadConnection::Done done);

// A non-blocking socket that is connected to the loopback port.
int ConnectToLoopback(uint16_t port);

}  // namespace tflite_serving
