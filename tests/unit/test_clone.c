/* SPDX-License-Identifier: Apache-2.0 */
/* What the copies of a VM have of their own: names, and the values of their devices' options. */
#include "vmm/supervisor/clone.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "devices/registry.h"
#include "vmm/base/cleanup.h"

/* ---- names ----------------------------------------------------------------- */

static void test_names(void **state)
{
    struct clone_identity identity;
    struct error error = ERROR_INIT;
    char prefix[80] = "";

    (void)state;
    assert_int_equal(clone_identify(&identity, "web", 12, &error), 0);
    assert_string_equal(identity.name, "web-12");
    assert_int_equal(identity.number, 12);
    memset(prefix, 'a', STORE_NAME_MAX - 2);
    assert_int_equal(clone_identify(&identity, prefix, 9, &error), 0);
    assert_int_equal(clone_identify(&identity, prefix, 10, &error), -EINVAL);
    assert_non_null(strstr(error.message, "give up to 61 "));
    assert_int_equal(clone_identify(&identity, "-a", 1, &error), -EINVAL);
    assert_int_equal(clone_identify(&identity, "", 1, &error), -EINVAL);
}

static void test_prefixes(void **state)
{
    static const struct {
        const char *folder, *prefix;
    } cases[] = {
        { "web", "web" }, { "./web.snapshot", "web.snapshot" }, { "/a/b c//", "b_c" }, { ".x", "x" },
        { "..", "clone" }, { "/", "clone" }, { "", "clone" }, { "\xc3\xa4", "clone" },
        { "a\xc3\xa4\n\x1b[", "a_____" }, { "_-z", "z" },
    };
    char prefix[STORE_NAME_MAX + 1], folder[200];
    struct clone_identity identity;
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        clone_prefix(prefix, cases[i].folder);
        assert_string_equal(prefix, cases[i].prefix);
        assert_int_equal(clone_identify(&identity, prefix, 1, &error), 0);
    }
    memset(folder, 'x', sizeof(folder));
    folder[sizeof(folder) - 1] = '\0';
    clone_prefix(prefix, folder);
    assert_int_equal(clone_identify(&identity, prefix, 4294967295u, &error), 0);
}

/* ---- values ---------------------------------------------------------------- */

static const struct clone_identity third = { .name = "job-3", .number = 3 };

/* The value of --OPTION for the third copy of a VM that has TEXT; the caller frees it.  NULL: refused. */
static char *value_of(const char *option, const char *text, bool given, struct error *error)
{
    struct machine_state machine = { .device_count = 1 }, one;
    char *value = NULL;

    machine.devices[0].option = (char *)(uintptr_t)option;
    machine.devices[0].text = (char *)(uintptr_t)text;
    if (clone_machine(&one, &machine, &given, &third, error) == 0) {
        assert_ptr_equal(one.devices[0].option, option);
        value = one.devices[0].text;
        one.devices[0].text = NULL;
        clone_release(&one);
    }
    return value;
}

static void check(const char *option, const char *text, bool given, const char *wanted)
{
    struct error error = ERROR_INIT;
    cleanup_free char *value = value_of(option, text, given, &error);

    assert_int_equal(error.number, 0);
    assert_string_equal(value, wanted);
}

static void refused(const char *option, const char *text, bool given, const char *why)
{
    struct error error = ERROR_INIT;

    assert_null(value_of(option, text, given, &error));
    assert_non_null(strstr(error.message, why));
}

static void test_shared(void **state)
{
    struct machine_state machine = { .device_count = 1 }, one;
    bool given = false;
    struct error error = ERROR_INIT;

    (void)state;
    check("entropy", "on,rate=1M", false, "on,rate=1M");
    check("balloon", "16M,stats=1", false, "16M,stats=1");
    check("disk", "a.img,ro,direct", false, "a.img,ro,direct");
    check("disk", "a,,b%d.img,ro", false, "a,,b%d.img,ro");
    /* An option that this mote does not have is refused when the device is made. */
    check("teleport", "x", false, "x");
    machine.devices[0].option = (char *)(uintptr_t)"port";
    assert_int_equal(clone_machine(&one, &machine, &given, &third, &error), 0);
    assert_null(one.devices[0].text);
    clone_release(&one);
}

static void test_disks(void **state)
{
    (void)state;
    check("disk", "a.img", false, "a.img,overlay=tmp");
    check("disk", "a,,b/c=d.img,serial=x,,y,direct,queues=2", false,
          "a,,b/c=d.img,serial=x,,y,queues=2,overlay=tmp");
    check("disk", "a.img,ro=off", false, "a.img,overlay=tmp");
    refused("disk", "a.img,fd=3", false, "several VMs");
    refused("disk", "a.img,overlay=tmp", false, "is gone with it");
    refused("disk", "a.img,overlay=tmp", true, "give --disk a.img");
    refused("disk", "a.img,overlay=b", true, "overlay=FILE%d");
    refused("disk", "", false, "PATH is missing");
    refused("disk", "a.img,ro=maybe", false, "on or off");
    check("disk", "b.img", true, "b.img,overlay=tmp");
    check("disk", "b.img,overlay=o%d", true, "b.img,overlay=o3");
    check("disk", "%s.img", true, "job-3.img");
    check("disk", "50%%.img,ro", true, "50%.img,ro");
    refused("disk", "%x.img", true, "without meaning");
    refused("disk", "b.img%", true, "without meaning");
}

/* A MAC address at the end, locally administered, and another each time. */
static void check_mac(const char *text, bool given, const char *before)
{
    struct error error = ERROR_INIT;
    cleanup_free char *one = value_of("net", text, given, &error);
    cleanup_free char *two = value_of("net", text, given, &error);
    size_t length = strlen(before);
    void *options = NULL;

    assert_non_null(one);
    assert_memory_equal(one, before, length);
    assert_memory_equal(one + length, ",mac=", 5);
    assert_int_equal(strtoul(one + length + 5, NULL, 16) & 3, 2);
    assert_string_not_equal(one, two);
    assert_int_equal(net_class.parse(one, &options, &error), 0);
    net_class.release(options);
}

static void test_networks(void **state)
{
    (void)state;
    check_mac("none", false, "none");
    check_mac("user,mac=52:54:00:12:34:56,rate=1M", false, "user,rate=1M");
    check_mac("user,forward=tcp:8080:80,forward=udp:53:53,private", false, "user,private");
    check_mac("tap:vm%d,queues=2", true, "tap:vm3,queues=2");
    check_mac("user,forward=tcp:800%d:80", true, "user,forward=tcp:8003:80");
    check("net", "tap:vm%d,mac=52:54:00:12:34:0%d", true, "tap:vm3,mac=52:54:00:12:34:03");
    refused("net", "tap:vm0", false, "--net tap:vm%d");
    refused("net", "tap:vm0", true, "--net tap:vm%d");
    refused("net", "tap-fd:5", false, "--net tap:vm%d");
    refused("net", "bridge", false, "is unknown");
}

static void test_sockets(void **state)
{
    struct error error = ERROR_INIT;
    cleanup_free char *one = value_of("vsock", "3:/tmp/a,,b", false, &error);
    cleanup_free char *two = value_of("vsock", "3:/tmp/a,,b", false, &error);
    unsigned long cid = strtoul(one, NULL, 10);

    (void)state;
    assert_true(cid > 1000000 && cid < UINT32_MAX);
    assert_string_equal(strchr(one, ':'), ":/tmp/a,,b.job-3");
    assert_string_not_equal(one, two);
    check("vsock", "%d:/tmp/%s", true, "3:/tmp/job-3");
    refused("vsock", "3,handoff=5", false, "several VMs");
    check("port", "log=file:/tmp/log", false, "log=file:/tmp/log.job-3");
    check("port", "a=unix:/tmp/x,,y", false, "a=unix:/tmp/x,,y.job-3");
    check("port", "a=unix:/tmp/x%d", true, "a=unix:/tmp/x3");
    refused("port", "a=fd:7", false, "several VMs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_prefixes), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_disks),   cmocka_unit_test(test_networks), cmocka_unit_test(test_sockets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
