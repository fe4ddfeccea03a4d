/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process that reads an image's documents answers, by whoever broke into
 * it: any bytes give a plan or one line of why not, and a plan's configuration
 * survives being sent again.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/images/image_plan.h"
#include "vmm/images/json_wire.h"

static void send_again(struct json_object *value)
{
    struct json_object *again = NULL;
    char *bytes = NULL;
    size_t length;
    FILE *file = open_memstream(&bytes, &length);

    fuzz_require(file && json_wire_write(file, value) == 0 && fclose(file) == 0);
    fuzz_require(json_wire_read(bytes, length, &again) == 0);
    fuzz_require(json_object_equal(value, again));
    json_object_put(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image_plan plan;
    struct error error = ERROR_INIT;
    struct json_object *value = NULL;

    plan = (struct image_plan){ .count = 0 };
    if (plan_decode(&plan, data, size, &error) == 0) {
        fuzz_require(plan.count >= 1 && plan.count <= IMAGE_LAYERS_MAX);
        send_again(plan.run);
    } else {
        fuzz_require(error.message[0] && !strchr(error.message, '\n'));
    }
    plan_release(&plan);
    if (json_wire_read(data, size, &value) == 0)
        send_again(value);
    json_object_put(value);
    return 0;
}
