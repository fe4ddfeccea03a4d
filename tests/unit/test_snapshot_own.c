/* SPDX-License-Identifier: Apache-2.0 */
/* Which snapshots are the user's own, and what one from elsewhere may name. */
#include "vmm/supervisor/snapshot/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/own_directory.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/restore.h"

static const uint8_t id[SNAPSHOT_ID_SIZE] = { 1, 2, 3 }, other_id[SNAPSHOT_ID_SIZE] = { 1, 2, 4 };

static int make_file(const char *name)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "state", 5), 5);
    return fd;
}

static void keep_notes_here(void)
{
    assert_int_equal(setenv("XDG_STATE_HOME", directory.path, 1), 0);
}

static void test_notes(void **state)
{
    cleanup_fd int fd = make_file("one"), copy = make_file("copy");

    (void)state;
    keep_notes_here();
    assert_false(snapshot_is_own(fd, id));
    snapshot_own_note(fd, id);
    assert_true(snapshot_is_own(fd, id));
    assert_false(snapshot_is_own(fd, other_id));
    assert_false(snapshot_is_own(copy, id));
    assert_int_equal(rename(path_of("one"), path_of("two")), 0);
    assert_int_equal(rename(path_of("copy"), path_of("one")), 0);
    assert_false(snapshot_is_own(copy, id));
    /* Whatever changed it. */
    snapshot_own_note(copy, id);
    assert_true(snapshot_is_own(copy, id));
    usleep(20000); /* a tick of the kernel's clock */
    assert_int_equal(pwrite(copy, "S", 1, 0), 1);
    assert_false(snapshot_is_own(copy, id));
    /* What is no file at all. */
    assert_false(snapshot_is_own(-1, id));
    snapshot_own_note(-1, id);
}

static void test_notes_that_others_could_make(void **state)
{
    cleanup_fd int fd = make_file("one");

    (void)state;
    keep_notes_here();
    snapshot_own_note(fd, id);
    assert_int_equal(chmod(path_of("mote/snapshots"), 0770), 0);
    assert_false(snapshot_is_own(fd, id));
    assert_int_equal(chmod(path_of("mote/snapshots"), 0700), 0);
    assert_true(snapshot_is_own(fd, id));
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    assert_int_equal(setenv("HOME", path_of("home"), 1), 0);
    assert_false(snapshot_is_own(fd, id));
    snapshot_own_note(fd, id);
    assert_int_equal(access(path_of("home/.local/state/mote/snapshots"), F_OK), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_false(snapshot_is_own(fd, id));
}

static unsigned int count_notes(void)
{
    DIR *stream = opendir(path_of("mote/snapshots"));
    unsigned int count = 0;

    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count - 2; /* . and .. */
}

/* The oldest go. */
static void test_many_notes(void **state)
{
    cleanup_fd int fd = make_file("one");

    (void)state;
    keep_notes_here();
    snapshot_own_note(fd, other_id);
    for (unsigned int i = 1; i < SNAPSHOT_NOTES_MAX; i++) {
        char name[64];
        int note;

        snprintf(name, sizeof(name), "mote/snapshots/%u", i);
        note = open(path_of(name), O_CREAT | O_EXCL | O_WRONLY, 0400);
        assert_true(note >= 0);
        if (i == 7)
            assert_int_equal(futimens(note, (struct timespec[2]){ { .tv_sec = 1 }, { .tv_sec = 1 } }), 0);
        close(note);
    }
    assert_int_equal(count_notes(), SNAPSHOT_NOTES_MAX);
    snapshot_own_note(fd, id);
    assert_int_equal(count_notes(), SNAPSHOT_NOTES_MAX);
    assert_true(snapshot_is_own(fd, id));
    assert_int_equal(access(path_of("mote/snapshots/7"), F_OK), -1);
}

/* ---- names -------------------------------------------------------------------- */

static const struct {
    enum device_type type;
    const char *text, *name; /* NAME: as the message has it; NULL: it names nothing of the host */
} devices[] = {
    { DEVICE_TYPE_DISK, "/home/user/secret", "--disk /home/user/secret" },
    { DEVICE_TYPE_DISK, "x,ro", "--disk x,ro" },
    { DEVICE_TYPE_DISK, "x,fd=7", "--disk x" },
    { DEVICE_TYPE_DISK, "x,overlay=/home/user/secret", "--disk x,overlay=/home/user/secret" },
    { DEVICE_TYPE_NET, "user", "--net user" },
    { DEVICE_TYPE_NET, "user,forward=tcp:22:22", "--net user" },
    { DEVICE_TYPE_NET, "tap:tap0", "--net tap:tap0" },
    { DEVICE_TYPE_NET, "tap-fd:5", "--net tap-fd:5" },
    { DEVICE_TYPE_NET, "none", NULL },
    { DEVICE_TYPE_NET, "none,mac=02:00:00:00:00:01", NULL },
    { DEVICE_TYPE_CONSOLE, "log=file:/home/user/secret", "--port log=file:/home/user/secret" },
    { DEVICE_TYPE_CONSOLE, "x=unix:/run/x", "--port x=unix:/run/x" },
    { DEVICE_TYPE_CONSOLE, "x=fd:5", "--port x=fd:5" },
    { DEVICE_TYPE_CONSOLE, NULL, NULL },
    { DEVICE_TYPE_VSOCK, "3:/run/x", "--vsock 3:/run/x" },
    { DEVICE_TYPE_BALLOON, "16M,reporting", NULL },
    { DEVICE_TYPE_ENTROPY, "on", NULL },
};

/* The machine of a snapshot that has one device. */
static struct machine_state machine_with(enum device_type type, const char *text)
{
    struct machine_state machine = MACHINE_STATE_INIT;
    struct error error = ERROR_INIT;

    if (text)
        assert_int_equal(vm_config_add_option(&machine.config, type, text, &error), 0);
    else
        assert_non_null(vm_config_add_device(&machine.config, type, &error));
    return machine;
}

static void test_what_one_from_elsewhere_names(void **state)
{
    cleanup_fd int fd = make_file("state");
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    static struct restore_options options;

    (void)state;
    keep_notes_here();
    source.state_fd = fd;
    for (size_t i = 0; i < ARRAY_LENGTH(devices); i++) {
        struct machine_state machine = machine_with(devices[i].type, devices[i].text);
        struct error error = ERROR_INIT;

        options = (struct restore_options){ .trust = false };
        assert_int_equal(restore_check(&options, &source, &machine, &error), devices[i].name ? -EPERM : 0);
        if (devices[i].name) {
            assert_non_null(strstr(error.message, devices[i].name));
            assert_non_null(strstr(error.message, "--trust"));
        }
        options.trust = true;
        assert_int_equal(restore_check(&options, &source, &machine, &error), 0);
        options.trust = false;
        options.given_count = devices[i].text ? 1 : 0;
        options.given[0] = (struct given_device){ devices[i].type, devices[i].text };
        assert_int_equal(restore_check(&options, &source, &machine, &error), 0);
        machine_state_release(&machine);
    }
}

/* As many as the snapshot has, or none: a device too many or too few is refused. */
static void test_how_many_are_given(void **state)
{
    struct machine_state machine = machine_with(DEVICE_TYPE_CONSOLE, "a=file:/a");
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    static struct restore_options options;
    struct error error = ERROR_INIT;

    (void)state;
    options = (struct restore_options){ .trust = true, .given_count = 1 };
    options.given[0] = (struct given_device){ DEVICE_TYPE_CONSOLE, "b=file:/b" };
    assert_int_equal(restore_check(&options, &source, &machine, &error), 0);
    options.given[1] = (struct given_device){ DEVICE_TYPE_CONSOLE, "c=file:/c" };
    options.given_count = 2;
    assert_int_equal(restore_check(&options, &source, &machine, &error), -EINVAL);
    assert_non_null(strstr(error.message, "--port: is given 2 times, and the snapshot has 1; give as many"));
    options.given[0] = (struct given_device){ DEVICE_TYPE_NET, "user" };
    options.given_count = 1;
    assert_int_equal(restore_check(&options, &source, &machine, &error), -EINVAL);
    assert_non_null(strstr(error.message, "--net: the snapshot's VM has none, and none can be added; leave"));
    machine_state_release(&machine);
}

/* A new kind of device has to be decided upon above. */
static void test_every_kind_of_device(void **state)
{
    (void)state;
    for (size_t type = 0; type < DEVICE_TYPE_COUNT; type++) {
        bool found = false;

        for (size_t j = 0; j < ARRAY_LENGTH(devices); j++)
            found = found || devices[j].type == type;
        assert_true(found);
    }
}

/* As many as there can be, each as long as it can be: one line all the same, with the remedy. */
static void test_many_names(void **state)
{
    static struct restore_options options;
    struct machine_state machine = MACHINE_STATE_INIT;
    cleanup_fd int fd = make_file("state");
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    struct error error = ERROR_INIT;
    static char text[SCHEMA_TEXT_MAX];

    (void)state;
    keep_notes_here();
    source.state_fd = fd;
    memset(text, '\x9b', sizeof(text) - 1);
    for (size_t i = 0; i < CONFIG_DEVICES_MAX; i++)
        vm_config_add_device(&machine.config, DEVICE_TYPE_DISK, &error)->disk.path = text;
    options = (struct restore_options){ .trust = false };
    assert_int_equal(restore_check(&options, &source, &machine, &error), -EPERM);
    assert_non_null(strstr(error.message, "--trust"));
    assert_null(strchr(error.message, '\x9b'));
    machine_state_release(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_notes_that_others_could_make, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_one_from_elsewhere_names, set_up, tear_down),
        cmocka_unit_test(test_how_many_are_given),
        cmocka_unit_test(test_every_kind_of_device),
        cmocka_unit_test_setup_teardown(test_many_names, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("snapshots of one's own", tests, NULL, NULL);
}
