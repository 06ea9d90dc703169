// What an operator may do over the REST port (--admin_api):
//
//   GET  /admin/log_level          the least level that is logged: "info\n"
//   PUT  /admin/log_level          changes it; the body is debug, info, warning or error. POST does the same
//   POST /admin/reload             as SIGHUP
//
// A change with an Origin, which browsers send, is PERMISSION_DENIED.
#pragma once

#include <functional>

#include "api/rest_pages.h"

namespace tflite_serving {

// `reload` is called on the thread of the request, and returns at once.
void AddAdminPages(RestPages::Sources& pages, std::function<void()> reload);

}  // namespace tflite_serving
