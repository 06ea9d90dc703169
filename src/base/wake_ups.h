// Wakings of other threads, put off while a thread has more to hand over: one waking does for many things.
#pragma once

#include <memory>

namespace tflite_serving {

class Wakeable {
 public:
  virtual ~Wakeable() = default;
  // From any thread; returns soon.
  virtual void Wake() = 0;
};

// While one is alive, WakeUps::Wake on the thread that made it is put off until the outermost one is destroyed. For one thread.
class WakeUps {
 public:
  WakeUps();
  ~WakeUps();
  WakeUps(const WakeUps&) = delete;
  WakeUps& operator=(const WakeUps&) = delete;

  // Has `sleeper` woken: now, or with those that are put off on this thread.
  static void Wake(std::shared_ptr<Wakeable> sleeper);
};

}  // namespace tflite_serving
