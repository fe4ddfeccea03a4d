/* SPDX-License-Identifier: Apache-2.0 */
/* Says hello over the serial port and powers off. */
#include "payload.h"

void payload_main(int protocol, const void *argument)
{
    (void)argument;
    print("hello from ");
    print(protocol == STARTED_BY_PVH ? "pvh\n" : "linux64\n");
    power_off();
}
