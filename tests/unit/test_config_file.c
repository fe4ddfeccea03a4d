/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/config/config_file.h"

static struct vm_config config;
static struct config_file_log said;
static struct error error;
static int fd = -1;
static char path[64];

static int load_bytes(const char *text, size_t length)
{
    fd = memfd_create("config", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config = vm_config_default();
    error = (struct error)ERROR_INIT;
    return config_file_load(path, &config, &said, &error);
}

static int load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static void release(void)
{
    vm_config_release(&config);
    close(fd);
}

/* The devices that the file asked for are, in this order, those of these options. */
static const struct option {
    enum device_type type;
    const char *text;
} none[1];

static void assert_devices(const struct option *options, size_t count)
{
    assert_int_equal(config.device_count, count);
    for (size_t i = 0; i < count; i++) {
        struct device_config device;
        struct config_pool pool = { NULL };

        device_config_init(&device, options[i].type);
        assert_int_equal(device_config_parse(&device, options[i].text, &pool, &error), 0);
        if (!device_config_equal(config.devices[i], &device))
            fail_msg("device %zu is not as '%s'", i, options[i].text);
        assert_int_equal(device_config_validate(config.devices[i], &error), 0);
        config_pool_release(&pool);
    }
}

#define BOOT "\"boot-source\": { \"kernel_image_path\": \"vmlinux\" }"

static void test_a_file_of_firecracker(void **state)
{
    static const struct option made[] = {
        { DEVICE_TYPE_DISK, "root.ext4,engine=sync" },
        { DEVICE_TYPE_DISK, "a,,b.img,ro,engine=uring,rate=10000,burst=1000,ops=100,ops-burst=50,ops-once=7" },
        { DEVICE_TYPE_NET, "tap:tap0,mac=AA:FC:00:00:00:01,rx-rate=1024,rx-burst=1024,rx-once=1048576,"
                           "tx-ops=1000,tx-ops-burst=2000" },
        { DEVICE_TYPE_VSOCK, "3:/run/v,,s" },
        { DEVICE_TYPE_BALLOON, "64M,deflate-on-oom,reporting,stats=2" },
        { DEVICE_TYPE_ENTROPY, "on,rate=4096,burst=4096" },
    };

    (void)state;
    assert_int_equal(load(
        "{\n"
        "  \"boot-source\": { \"kernel_image_path\": \"/k/vmlinux\",\n"
        "    \"boot_args\": \"console=ttyS0 reboot=k panic=1 pci=off\", \"initrd_path\": null },\n"
        "  \"drives\": [\n"
        "    { \"drive_id\": \"data\", \"path_on_host\": \"a,b.img\", \"is_root_device\": false,\n"
        "      \"is_read_only\": true, \"io_engine\": \"Async\", \"cache_type\": \"Writeback\",\n"
        "      \"rate_limiter\": { \"bandwidth\": { \"size\": 1000, \"refill_time\": 100 },\n"
        "                          \"ops\": { \"size\": 50, \"refill_time\": 500,\n"
        "                                     \"one_time_burst\": 7 } } },\n"
        "    { \"drive_id\": \"rootfs\", \"partuuid\": null, \"is_root_device\": true,\n"
        "      \"cache_type\": \"Unsafe\", \"is_read_only\": false,\n"
        "      \"path_on_host\": \"root.ext4\", \"io_engine\": \"Sync\",\n"
        "      \"rate_limiter\": null, \"socket\": null } ],\n"
        "  \"machine-config\": { \"vcpu_count\": 2, \"mem_size_mib\": 1024, \"smt\": false,\n"
        "    \"track_dirty_pages\": false, \"huge_pages\": \"None\" },\n"
        "  \"cpu-config\": null, \"metrics\": null, \"mmds-config\": null,\n"
        "  \"mmds-version\": \"V1\",\n"
        "  \"network-interfaces\": [ { \"iface_id\": \"eth0\",\n"
        "    \"guest_mac\": \"AA:FC:00:00:00:01\", \"host_dev_name\": \"tap0\",\n"
        "    \"rx_rate_limiter\": { \"bandwidth\": { \"size\": 1024, \"one_time_burst\": 1048576,\n"
        "                                          \"refill_time\": 1000 } },\n"
        "    \"tx_rate_limiter\": { \"ops\": { \"size\": 2000, \"refill_time\": 2000 } } } ],\n"
        "  \"vsock\": { \"guest_cid\": 3, \"uds_path\": \"/run/v,s\" },\n"
        "  \"balloon\": { \"amount_mib\": 64, \"deflate_on_oom\": true,\n"
        "    \"stats_polling_interval_s\": 2, \"free_page_reporting\": true },\n"
        "  \"logger\": { \"log_path\": \"/tmp/log\", \"level\": \"Warning\",\n"
        "    \"show_level\": true, \"show_log_origin\": false },\n"
        "  \"entropy\": { \"rate_limiter\": { \"bandwidth\": {\n"
        "    \"size\": 4096, \"one_time_burst\": 0, \"refill_time\": 1000 } } }\n"
        "}\n"), 0);
    assert_string_equal(config.kernel, "/k/vmlinux");
    assert_null(config.initrd);
    assert_string_equal(config.command_line,
                        "console=ttyS0 reboot=k panic=1 pci=off root=/dev/vda rw");
    assert_int_equal(config.cpus, 2);
    assert_int_equal(config.memory, 1024ull << 20);
    assert_string_equal(said.path, "/tmp/log");
    assert_int_equal(said.level, LOG_WARN);
    assert_devices(made, sizeof(made) / sizeof(made[0]));
    release();
}

static void test_little_is_needed(void **state)
{
    (void)state;
    assert_int_equal(load("{}"), 0);
    assert_null(config.kernel);
    assert_null(config.command_line);
    assert_null(config.root);
    release();
    assert_int_equal(load("{" BOOT ", \"entropy\": {}, \"drives\": [],"
                          "\"network-interfaces\": [], \"logger\": {}}"), 0);
    assert_devices(&(struct option){ DEVICE_TYPE_ENTROPY, "on" }, 1);
    assert_int_equal(said.level, -1);
    release();
}

/* Without boot_args the command line is the console's, and names the root all the same. */
static void test_the_root_by_partition(void **state)
{
    static const char text[] = "{" BOOT ", \"drives\": [ { \"drive_id\": \"r\", \"path_on_host\": "
                               "\"d\", \"is_root_device\": true, \"is_read_only\": true,"
                               "\"partuuid\": \"0eaa91a0-01\" } ] }";
    static const unsigned int consoles[] = { CONSOLE_SERIAL, CONSOLE_VIRTIO };
    static const char *const lines[] = {
        "console=ttyS0 panic=-1 root=PARTUUID=0eaa91a0-01 ro",
        "console=hvc0 panic=-1 root=PARTUUID=0eaa91a0-01 ro",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(load(text), 0);
        assert_null(config.command_line);
        config.console = consoles[i];
        assert_int_equal(vm_config_complete(&config, &error), 0);
        assert_string_equal(config.command_line, lines[i]);
        release();
    }
    /* What the user says replaces all of it. */
    assert_int_equal(load(text), 0);
    config.command_line = "quiet";
    assert_int_equal(vm_config_complete(&config, &error), 0);
    assert_string_equal(config.command_line, "quiet");
    release();
}

/* Loading TEXT fails with a message of the three parts in this order. */
static void assert_wrong(const char *text, const char *where, const char *why, const char *remedy)
{
    const char *at;

    assert_true(load(text) < 0);
    assert_ptr_equal(strstr(error.message, "--config-file /proc/self/fd/"), error.message);
    at = strstr(error.message, where);
    at = at ? strstr(at, why) : NULL;
    at = at ? strstr(at, remedy) : NULL;
    if (!at)
        fail_msg("%s: lacks '%s', '%s', '%s'", error.message, where, why, remedy);
    release();
}

static void test_malformed_json(void **state)
{
    (void)state;
    assert_wrong("", ": ", "is empty", "; write");
    assert_wrong("[]", ": ", "no JSON object", "; begin");
    assert_wrong("3 ", ": ", "no JSON object", "; begin");
    assert_wrong("{\n  \"a\": 1,\n  x\n}", "line 3, column 3", "is no JSON", "; correct");
    assert_wrong("{ \"a\": 1 ", "line 1, column 10", "ends too early", "; correct");
    assert_wrong("\xff\xfe{}", "", "is UTF-16", "; save");
    assert_wrong("\xef\xbb\xbf{\n x", "line 2", "is no JSON", "; correct");
    assert_wrong("\xef\xbb\xbf\xef\xbb\xbf{}", "line 1", "is no JSON", "; correct");
    assert_wrong("{}\n{}", "line 2, column 1", "is no JSON", "; correct");
    assert_wrong("{\"a\": \"\xff\"}", "line 1, column", "is no JSON", "; correct");
    assert_wrong("{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}", "line 1", "is no JSON", "");
    assert_true(load_bytes("{}\0{}", 5) < 0);
    release();
}

static void test_keys_that_are_wrong(void **state)
{
    (void)state;
    assert_wrong("{\"boot_source\": {\"kernel_image_path\": \"k\"}}", "boot_source: ", "unknown key",
                 "did you mean boot-source");
    assert_wrong("{\"flux\": {\"a\": null}}", "flux: ", "unknown key", "; remove");
    assert_wrong("{\"flux\": true}", "flux: ", "unknown key", "; remove");
    assert_wrong("{\"flux\": 1}", "flux: ", "unknown key", "use one of boot-source, drives, machine-config, "
                 "network-interfaces, vsock, entropy, balloon, logger");
    assert_wrong("{\"flux\": 0}", "flux: ", "unknown key", "; remove");
    assert_wrong("{\"flux\": \"\"}", "flux: ", "unknown key", "; remove");
    assert_wrong("{\"flux\": [null]}", "flux: ", "unknown key", "; remove");
    assert_wrong("{\"boot-source\": {}}", "boot-source.kernel_image_path: ", "missing", "; add");
    assert_wrong("{\"boot-source\": []}", "boot-source: ", "an array", "; give an object");
    assert_wrong("{\"boot-source\": {\"kernel_image_path\": 3}}", "boot-source.kernel_image_path: ",
                 "a number", "; give a text");
    assert_wrong("{\"boot-source\": {\"kernel_image_path\": \"a\\u0000b\"}}", "kernel_image_path: ",
                 "NUL", "; remove");
    assert_wrong("{\"drives\": {}}", "drives: ", "an object", "; give an array");
    assert_wrong("{\"drives\": [null]}", "drives[0]: ", "is no object", "; write");
    assert_wrong("{\"drives\": [{\"drive_id\": \"a\", \"is_root_device\": false}]}",
                 "drives[0].path_on_host: ", "missing", "; add");
    assert_wrong("{\"drives\": [{\"drive_id\": \"a\", \"path_on_host\": \"p\","
                 "\"is_root_device\": \"no\"}]}", "drives[0].is_root_device: ", "a text",
                 "; give true or false");
    assert_wrong("{\"drives\": [{\"drive_id\": \"a\", \"path_on_host\": \"p\", \"is_root_device\":"
                 "false, \"io_engine\": \"Synced\"}]}", "drives[0].io_engine: ", "unknown",
                 "; use one of Async, Sync");
    assert_wrong("{\"drives\": [{\"drive_id\": \"a\", \"path_on_host\": \"p\", \"is_root_device\":"
                 "true}, {\"drive_id\": \"b\", \"path_on_host\": \"q\","
                 "\"is_root_device\": true}]}",
                 "drives[1]: ", "second root", "; set");
    assert_wrong("{\"entropy\": {\"rate_limiter\": {\"ops\": {\"size\": 1}}}}",
                 "entropy.rate_limiter.ops.refill_time: ", "missing", "; add");
}

static void test_numbers_that_are_wrong(void **state)
{
    static const char *const wrong[] = {
        "0", "65", "-1", "18446744073709551616", "99999999999999999999999999",
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{\"machine-config\": {\"vcpu_count\": %s, "
                 "\"mem_size_mib\": 128}}", wrong[i]);
        assert_wrong(text, "machine-config.vcpu_count: ", "out of range", "; give 1 to 64");
    }
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1.5, \"mem_size_mib\": 128}}",
                 "vcpu_count: ", "a fraction", "; give a whole number");
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 99999999999999}}",
                 "mem_size_mib: ", "out of range", "; give");
    assert_wrong("{\"vsock\": {\"guest_cid\": 2, \"uds_path\": \"v\"}}", "vsock.guest_cid: ",
                 "out of range", "; give 3 to");
    assert_wrong("{\"machine-config\": {\"mem_size_mib\": 128}}", "machine-config.vcpu_count: ",
                 "missing", "; add");
}

/* Of two values one would be dropped in silence. */
static void test_keys_that_are_there_twice(void **state)
{
    static const char *const once[] = {
        "{" BOOT ", \"drives\": [], \"vsock\": null}",
        /* In other objects, in values, and next to what looks like one. */
        "{" BOOT ", \"drives\": [{\"drive_id\": \"drive_id\", \"path_on_host\": \"path_on_host\\\": \\\"\","
        "\"is_root_device\": true}, {\"drive_id\": \"b\", \"path_on_host\": \"q\", \"is_root_device\": false}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        if (load(once[i]) < 0)
            fail_msg("%s", error.message);
        release();
    }
    assert_wrong("{" BOOT ",\n  \"drives\": [],\n  \"drives\": []}", "line 3, column 3: ", "'drives' is given twice",
                 "; give it once");
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 128, \"vcpu_count\" : 2}}", "line 1, ",
                 "'vcpu_count' is given twice", "; give it once");
    assert_wrong("{\"a\": [[], {}, {\"b\": {}, \"\\u0062\": {}}]}", "line 1, ", "'b' is given twice", "; give");
}

/* What cannot be honoured is refused; the default that says so is not. */
static void test_what_mote_has_not(void **state)
{
    (void)state;
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 128, \"smt\": true}}",
                 "machine-config.smt: ", "not possible", "; set it to false");
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 128,"
                 "\"huge_pages\": \"2M\"}}", "machine-config.huge_pages: ", "not possible",
                 "; set");
    assert_wrong("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 128,"
                 "\"track_dirty_pages\": true}}", "track_dirty_pages: ", "not tracked", "; set");
    assert_wrong("{\"metrics\": {\"metrics_path\": \"m\"}}", "metrics: ", "no metrics", "; remove");
    assert_wrong("{\"mmds-config\": {\"network_interfaces\": [\"a\"]}}", "mmds-config: ", "no metadata",
                 "; remove");
    assert_wrong("{\"pmem\": [{\"id\": \"a\"}]}", "pmem: ", "not possible", "; give");
    assert_wrong("{\"memory-hotplug\": {\"total_size_mib\": 1}}", "memory-hotplug: ", "cannot", "; give");
    assert_wrong("{\"balloon\": {\"amount_mib\": 1, \"deflate_on_oom\": false,"
                 "\"free_page_hinting\": true}}", "balloon.free_page_hinting: ", "not possible",
                 "; set free_page_reporting");
}

/* Of sections that Mote lacks, or has never heard of, what asks for nothing may stand there. */
static void test_sections_that_ask_for_nothing(void **state)
{
    static const char *const nothing[] = { "null", "false", "[]", "{}" };
    static const char *const sections[] = {
        "metrics", "mmds-config", "cpu-config", "pmem", "memory-hotplug", "network_interfaces",
        "cca-config",
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        for (size_t value = 0; value < sizeof(nothing) / sizeof(nothing[0]); value++) {
            snprintf(text, sizeof(text), "{" BOOT ", \"%s\": %s}", sections[i], nothing[value]);
            assert_int_equal(load(text), 0);
            assert_devices(none, 0);
            release();
        }
    }
    assert_int_equal(load("{\"boot-source\": { \"kernel_image_path\": \"k\", \"cmdline_mode\": null } }"), 0);
    release();
}

/* As Firecracker does with the logger's; what is to be one of a few words is not clearer for its case. */
static void test_words_in_any_case(void **state)
{
    static const struct {
        const char *word;
        int level;
    } words[] = {
        { "error", LOG_ERROR }, { "WARNING", LOG_WARN }, { "info", LOG_INFO }, { "INFO", LOG_INFO },
        { "dEbug", LOG_DEBUG }, { "off", LOG_ERROR },
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        snprintf(text, sizeof(text), "{" BOOT ", \"logger\": {\"level\": \"%s\"}}", words[i].word);
        assert_int_equal(load(text), 0);
        assert_int_equal(said.level, words[i].level);
        release();
    }
    assert_wrong("{\"logger\": {\"level\": \"informed\"}}", "logger.level: ", "unknown",
                 "; use one of Error");
    assert_int_equal(load("{\"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 128,"
                          "\"huge_pages\": \"none\"}}"), 0);
    release();
}

#define ROOT_AFTER(arguments)                                                                      \
    "{\"boot-source\": { \"kernel_image_path\": \"k\", \"boot_args\": \"" arguments "\" },"           \
    "\"drives\": [ { \"drive_id\": \"r\", \"path_on_host\": \"d\", \"is_root_device\": true } ] }"

/* What follows "--" is init's: the root stands before it, with and without arguments of init's. */
static void test_the_root_is_the_kernels(void **state)
{
    static const struct {
        const char *arguments, *line;
    } rows[] = {
        { "quiet -- one two", "quiet root=/dev/vda rw -- one two" },
        { "quiet --", "quiet root=/dev/vda rw --" },
        { "", "root=/dev/vda rw" },
        { "a--b --c", "a--b --c root=/dev/vda rw" },
    };
    char whole[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(whole, sizeof(whole), ROOT_AFTER("%s"), rows[i].arguments);
        assert_int_equal(load(whole), 0);
        assert_string_equal(config.command_line, rows[i].line);
        release();
    }
}

static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    error = (struct error)ERROR_INIT;
    config = vm_config_default();
    assert_int_equal(config_file_load("/nonexistent", &config, &said, &error),
                     -ENOENT);
    assert_non_null(strstr(error.message, "; check the path"));
    assert_int_equal(config_file_load("/", &config, &said, &error), -EISDIR);
    assert_true(config_file_load("/dev/zero", &config, &said, &error) < 0);
    assert_non_null(strstr(error.message, "larger than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_of_firecracker),
        cmocka_unit_test(test_little_is_needed),
        cmocka_unit_test(test_the_root_by_partition),
        cmocka_unit_test(test_malformed_json),
        cmocka_unit_test(test_keys_that_are_wrong),
        cmocka_unit_test(test_keys_that_are_there_twice),
        cmocka_unit_test(test_numbers_that_are_wrong),
        cmocka_unit_test(test_what_mote_has_not),
        cmocka_unit_test(test_sections_that_ask_for_nothing),
        cmocka_unit_test(test_words_in_any_case),
        cmocka_unit_test(test_the_root_is_the_kernels),
        cmocka_unit_test(test_files_that_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
