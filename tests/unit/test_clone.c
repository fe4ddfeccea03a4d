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

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/restore.h"

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

/*
 * CONFIG for the third copy of a VM whose one device is TYPE's TEXT, or was given as that in place of another; or
 * the error.  The caller releases it.
 */
static int clone_one(struct vm_config *config, enum device_type type, const char *text, bool given,
                     struct error *error)
{
    const struct given_device one = { type, text };
    int result = 0;

    *error = (struct error)ERROR_INIT;
    *config = vm_config_default();
    if (given)
        assert_non_null(vm_config_add_device(config, type, error));
    else
        result = vm_config_add_option(config, type, text, error);
    return result == 0 ? restore_devices(config, &one, given, &third, error) : result;
}

/* It is as the option's value WANTED makes it. */
static void check(enum device_type type, const char *text, bool given, const char *wanted)
{
    struct vm_config config, other = vm_config_default();
    struct error error;

    if (clone_one(&config, type, text, given, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    assert_int_equal(vm_config_add_option(&other, type, wanted, &error), 0);
    if (!vm_config_equal(&config, &other))
        fail_msg("%s is not as %s", text, wanted);
    vm_config_release(&config);
    vm_config_release(&other);
}

static void refused(enum device_type type, const char *text, bool given, const char *why)
{
    struct vm_config config;
    struct error error;

    assert_true(clone_one(&config, type, text, given, &error) < 0);
    if (!strstr(error.message, why))
        fail_msg("%s: %s", text, error.message);
    vm_config_release(&config);
}

static void test_shared(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    check(DEVICE_TYPE_ENTROPY, "on,rate=1M", false, "on,rate=1M");
    check(DEVICE_TYPE_BALLOON, "16M,stats=1", false, "16M,stats=1");
    check(DEVICE_TYPE_DISK, "a.img,ro,direct", false, "a.img,ro,direct");
    check(DEVICE_TYPE_DISK, "a,,b%d.img,ro", false, "a,,b%d.img,ro");
    /* --console virtio without ports. */
    assert_non_null(vm_config_add_device(&config, DEVICE_TYPE_CONSOLE, &error));
    assert_int_equal(restore_devices(&config, NULL, 0, &third, &error), 0);
    assert_int_equal(config.devices[0]->console.count, 0);
    vm_config_release(&config);
}

static void test_disks(void **state)
{
    (void)state;
    check(DEVICE_TYPE_DISK, "a.img", false, "a.img,overlay=tmp");
    check(DEVICE_TYPE_DISK, "a,,b/c=d.img,serial=x,,y,direct,queues=2", false,
          "a,,b/c=d.img,serial=x,,y,queues=2,overlay=tmp");
    check(DEVICE_TYPE_DISK, "a.img,ro=off", false, "a.img,overlay=tmp");
    refused(DEVICE_TYPE_DISK, "a.img,fd=3", false, "several VMs");
    refused(DEVICE_TYPE_DISK, "a.img,overlay=tmp", false, "is gone with it");
    refused(DEVICE_TYPE_DISK, "a.img,overlay=tmp", true, "give --disk a.img");
    refused(DEVICE_TYPE_DISK, "a.img,overlay=b", true, "overlay=FILE%d");
    refused(DEVICE_TYPE_DISK, "", true, "PATH is missing");
    refused(DEVICE_TYPE_DISK, "a.img,ro=maybe", true, "on or off");
    refused(DEVICE_TYPE_DISK, "a.img,ro,overlay=o%d", true, "exclude each other");
    check(DEVICE_TYPE_DISK, "b.img", true, "b.img,overlay=tmp");
    check(DEVICE_TYPE_DISK, "b.img,overlay=o%d", true, "b.img,overlay=o3");
    check(DEVICE_TYPE_DISK, "%s.img", true, "job-3.img");
    check(DEVICE_TYPE_DISK, "50%%.img,ro", true, "50%.img,ro");
    refused(DEVICE_TYPE_DISK, "%x.img", true, "without meaning");
    refused(DEVICE_TYPE_DISK, "b.img%", true, "without meaning");
}

/* As WANTED but for a MAC address, locally administered, and another each time. */
static void check_mac(const char *text, bool given, const char *wanted)
{
    struct vm_config one, two, other = vm_config_default();
    struct error error;

    assert_int_equal(clone_one(&one, DEVICE_TYPE_NET, text, given, &error), 0);
    assert_int_equal(clone_one(&two, DEVICE_TYPE_NET, text, given, &error), 0);
    assert_int_equal(one.devices[0]->net.mac[0] & 3, 2);
    assert_memory_not_equal(one.devices[0]->net.mac, two.devices[0]->net.mac, 6);
    assert_int_equal(device_config_validate(one.devices[0], &error), 0);
    assert_int_equal(vm_config_add_option(&other, DEVICE_TYPE_NET, wanted, &error), 0);
    memcpy(other.devices[0]->net.mac, one.devices[0]->net.mac, 6);
    assert_true(vm_config_equal(&one, &other));
    vm_config_release(&one);
    vm_config_release(&two);
    vm_config_release(&other);
}

static void test_networks(void **state)
{
    (void)state;
    check_mac("none", false, "none");
    check_mac("user,mac=52:54:00:12:34:56,rate=1M", false, "user,rate=1M");
    check_mac("user,forward=tcp:8080:80,forward=udp:53:53,private", false, "user,private");
    check_mac("tap:vm%d,queues=2", true, "tap:vm3,queues=2");
    check_mac("user,forward=tcp:800%d:80", true, "user,forward=tcp:8003:80");
    check(DEVICE_TYPE_NET, "tap:vm%d,mac=52:54:00:12:34:0%d", true, "tap:vm3,mac=52:54:00:12:34:03");
    refused(DEVICE_TYPE_NET, "tap:vm0", false, "--net tap:vm%d");
    refused(DEVICE_TYPE_NET, "tap:vm0", true, "--net tap:vm%d");
    refused(DEVICE_TYPE_NET, "tap-fd:5", false, "--net tap:vm%d");
    refused(DEVICE_TYPE_NET, "bridge", true, "is unknown");
}

static void test_sockets(void **state)
{
    struct vm_config one, two;
    struct error error;

    (void)state;
    assert_int_equal(clone_one(&one, DEVICE_TYPE_VSOCK, "3:/tmp/a,,b", false, &error), 0);
    assert_int_equal(clone_one(&two, DEVICE_TYPE_VSOCK, "3:/tmp/a,,b", false, &error), 0);
    assert_true(one.devices[0]->vsock.cid > 1000000 && one.devices[0]->vsock.cid < UINT32_MAX);
    assert_int_not_equal(one.devices[0]->vsock.cid, two.devices[0]->vsock.cid);
    assert_string_equal(one.devices[0]->vsock.path, "/tmp/a,b.job-3");
    vm_config_release(&one);
    vm_config_release(&two);
    check(DEVICE_TYPE_VSOCK, "%d:/tmp/%s", true, "3:/tmp/job-3");
    refused(DEVICE_TYPE_VSOCK, "3,handoff=5", false, "several VMs");
    check(DEVICE_TYPE_CONSOLE, "log=file:/tmp/log", false, "log=file:/tmp/log.job-3");
    check(DEVICE_TYPE_CONSOLE, "a=unix:/tmp/x,,y", false, "a=unix:/tmp/x,,y.job-3");
    check(DEVICE_TYPE_CONSOLE, "a=unix:/tmp/x%d", true, "a=unix:/tmp/x3");
    refused(DEVICE_TYPE_CONSOLE, "a=fd:7", false, "several VMs");
}

/* Each port is one option, with a pattern or without. */
static void test_ports_that_are_given(void **state)
{
    static const struct given_device given[] = {
        { DEVICE_TYPE_CONSOLE, "a=file:/a%d" }, { DEVICE_TYPE_CONSOLE, "b=file:/b" },
    };
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, "a=file:/x", &error), 0);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, "b=file:/y", &error), 0);
    assert_int_equal(restore_devices(&config, given, ARRAY_LENGTH(given), &third, &error), 0);
    assert_int_equal(config.devices[0]->console.count, 2);
    assert_string_equal(config.devices[0]->console.ports[0].host.path, "/a3");
    assert_string_equal(config.devices[0]->console.ports[1].host.path, "/b.job-3");
    vm_config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_prefixes), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_disks),   cmocka_unit_test(test_networks), cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_ports_that_are_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
