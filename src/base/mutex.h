// std::mutex with the annotations that let clang's -Wthread-safety check which lock guards what.
//
//   Mutex mutex_;
//   int depth_ TFLS_GUARDED_BY(mutex_) = 0;
//   void Push() { MutexLock lock(mutex_); ++depth_; }
//
// Rule of this code base: no I/O and no callback while a Mutex is held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TFLS_ATTRIBUTE(x) __attribute__((x))
#else
#define TFLS_ATTRIBUTE(x)
#endif
#define TFLS_CAPABILITY(x) TFLS_ATTRIBUTE(capability(x))
#define TFLS_SCOPED_CAPABILITY TFLS_ATTRIBUTE(scoped_lockable)
#define TFLS_GUARDED_BY(x) TFLS_ATTRIBUTE(guarded_by(x))
#define TFLS_REQUIRES(...) TFLS_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define TFLS_EXCLUDES(...) TFLS_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define TFLS_ACQUIRE(...) TFLS_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TFLS_RELEASE(...) TFLS_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace tflite_serving {

class TFLS_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() TFLS_ACQUIRE() { mutex_.lock(); }
  void Unlock() TFLS_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class TFLS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TFLS_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() TFLS_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  // Both may wake without a signal: call them in a loop over the condition.
  void Wait(Mutex& mutex) TFLS_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False once `deadline` has passed.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline) TFLS_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace tflite_serving
