/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/page_size.h"

#include <unistd.h>

size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t huge_page_size(void)
{
    return page_size() / 8 * page_size();
}
