// SPDX-License-Identifier: Apache-2.0
#include "core/thread.h"

#include <sys/resource.h>
#include <unistd.h>

namespace tocayo {

void give_way(int niceness) {
  const auto thread = static_cast<id_t>(::gettid());
  (void)::setpriority(PRIO_PROCESS, thread, ::getpriority(PRIO_PROCESS, thread) + niceness);
}

}  // namespace tocayo
