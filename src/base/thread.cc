#include "base/thread.h"

#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <utility>

namespace tflite_serving {

std::jthread StartThread(const std::string& name, std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits the mask, so there is no moment in which it has another
  std::jthread thread([name = name.substr(0, 15), body = std::move(body)] {
    pthread_setname_np(pthread_self(), name.c_str());
    body();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

void StepBack(int niceness) {
  if (::getpriority(PRIO_PROCESS, 0) < niceness) ::setpriority(PRIO_PROCESS, 0, niceness);  // Linux: of the thread
}

}  // namespace tflite_serving
