// What ties a call to what others know of it. Ids go back with the reply, as the header fields x-request-id and traceparent.
#pragma once

#include <string>

namespace tflite_serving {

struct CallIds {
  std::string request_id;   // as the client sent it, if that is one (IsValidRequestId), or made here; empty: none
  std::string traceparent;  // of the span that is this call (W3C Trace Context); empty: it is not traced
  std::string client;       // by its API key; empty: keys are not asked for. Stays here

  void Clear() {
    request_id.clear();
    traceparent.clear();
    client.clear();
  }
};

}  // namespace tflite_serving
