// SPDX-License-Identifier: Apache-2.0
// What a thread may say of itself to the kernel.
#pragma once

namespace tocayo {

// The calling thread takes that much less of the processors than it did (niceness 0 to 19). Cannot be taken back.
void give_way(int niceness);

}  // namespace tocayo
