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

#include "devices/registry.h"
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
    const char *option, *text;
    bool free; /* it names nothing of the host */
} devices[] = {
    { "disk", "/home/user/secret" },
    { "disk", "x,ro" },
    { "disk", "x,fd=7" },
    { "disk", "x,overlay=/home/user/secret" },
    { "net", "user" },
    { "net", "user,forward=tcp:22:22" },
    { "net", "tap:tap0" },
    { "net", "tap-fd:5" },
    { "net", "nonesuch" },
    { "net", "none", true },
    { "net", "none,mac=02:00:00:00:00:01", true },
    { "port", "log=file:/home/user/secret" },
    { "port", "x=unix:/run/x" },
    { "port", "x=fd:5" },
    { "port", NULL, true },
    { "vsock", "3:/run/x" },
    { "balloon", "16M,reporting", true },
    { "entropy", "on", true },
};

static void test_what_one_from_elsewhere_names(void **state)
{
    cleanup_fd int fd = make_file("state");
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;

    (void)state;
    keep_notes_here();
    source.state_fd = fd;
    for (size_t i = 0; i < ARRAY_LENGTH(devices); i++) {
        struct restore_options options = { .trust = false };
        struct machine_state machine = { .device_count = 1 };
        bool given[CONFIG_TEXTS_MAX] = { false };
        struct error error = ERROR_INIT;
        int wanted = devices[i].free ? 0 : -EPERM;

        machine.devices[0].option = (char *)(uintptr_t)devices[i].option;
        machine.devices[0].text = (char *)(uintptr_t)devices[i].text;
        assert_int_equal(restore_check_names(&options, &source, &machine, given, &error), wanted);
        if (wanted < 0) {
            assert_non_null(strstr(error.message, devices[i].text));
            assert_non_null(strstr(error.message, "--trust"));
        }
        given[0] = true;
        assert_int_equal(restore_check_names(&options, &source, &machine, given, &error), 0);
        given[0] = false;
        options.trust = true;
        assert_int_equal(restore_check_names(&options, &source, &machine, given, &error), 0);
    }
}

/* A new kind of device has to be decided upon above. */
static void test_every_kind_of_device(void **state)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool found = false;

        for (size_t j = 0; j < ARRAY_LENGTH(devices); j++)
            found = found || strcmp(devices[j].option, rows[i].option) == 0;
        assert_true(found);
    }
}

/* As many as there can be, each as long as it can be: one line all the same, with the remedy. */
static void test_many_names(void **state)
{
    static struct machine_state machine = { .device_count = CONFIG_TEXTS_MAX };
    static char text[MACHINE_TEXT_MAX];
    cleanup_fd int fd = make_file("state");
    struct restore_options options = { .trust = false };
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    bool given[CONFIG_TEXTS_MAX] = { false };
    struct error error = ERROR_INIT;
    char disk[] = "disk";

    (void)state;
    keep_notes_here();
    source.state_fd = fd;
    memset(text, '\x9b', sizeof(text) - 1);
    for (size_t i = 0; i < CONFIG_TEXTS_MAX; i++) {
        machine.devices[i].option = disk;
        machine.devices[i].text = text;
    }
    assert_int_equal(restore_check_names(&options, &source, &machine, given, &error), -EPERM);
    assert_non_null(strstr(error.message, "--trust"));
    assert_null(strchr(error.message, '\x9b'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_notes_that_others_could_make, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_one_from_elsewhere_names, set_up, tear_down),
        cmocka_unit_test(test_every_kind_of_device),
        cmocka_unit_test_setup_teardown(test_many_names, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("snapshots of one's own", tests, NULL, NULL);
}
