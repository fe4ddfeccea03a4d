/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of a job's control socket get its VM's process to do, and what that process may answer. */
#include "vmm/supervisor/vm_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/control_socket.h"
#include "vmm/supervisor/host_disk.h"
#include "vmm/supervisor/vm_process_internal.h"

static struct test_directory directory;
static struct event_loop *loop;
static struct store_entry entry;
static struct vm_config config;
static struct vm_control *control;
static struct vm_process process; /* whose monitor is the test */
static int ends[2]; /* the supervisor's, and that of the VM's process, which is the test */
static unsigned int stopped;
static bool hurried;         /* a second of patience is a millisecond */
static unsigned int seconds; /* begun since */
static int came;             /* descriptors with the last request */
static uint32_t awaited;     /* the request whose answer is awaited */

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
    struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
    bool second = hurried && when->it_value.tv_sec == 1 && when->it_value.tv_nsec == 0;

    seconds += second;
    return __real_timerfd_settime(fd, flags, second ? &soon : when, old);
}

static void owner_stop(void *context)
{
    (void)context;
    stopped++;
}

static void open_control(bool is_job)
{
    struct vm_control_owner owner = {
        .vm = &config, .entry = &entry, .is_job = is_job, .stop = owner_stop,
    };
    struct error error = ERROR_INIT;

    if (vm_control_create(&control, &owner, loop, &error) < 0)
        fail_msg("%s", error.message);
}

static int set_up(void **state)
{
    char word[] = "true", *words[] = { word };
    struct error error = ERROR_INIT;

    (void)state;
    stopped = seconds = 0;
    hurried = false;
    config = (struct vm_config){ .cpus = 2, .memory = 64 << 20 };
    test_directory_create(&directory);
    setenv("XDG_RUNTIME_DIR", directory.path, 1);
    assert_int_equal(store_create(&entry, "job", words, 1, &error), 0);
    assert_int_equal(store_claim(&entry, &error), 0);
    assert_int_equal(event_loop_create(&loop, &error), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    process = (struct vm_process){ .loop = loop, .channel = -1, .request_timer = TIMER_INIT };
    open_control(true);
    return 0;
}

static int tear_down(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    vm_control_destroy(control);
    timer_close(&process.request_timer);
    close(ends[0]);
    close(ends[1]);
    event_loop_destroy(loop);
    assert_int_equal(store_remove(&entry, &error), 0);
    store_close(&entry);
    test_directory_remove(&directory);
    return 0;
}

/* ---- a client --------------------------------------------------------------- */

static int ask(const char *request)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/control", entry.folder);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    run_loop_for(loop, 20);
    return fd;
}

/* The answer so far, NULL where there will be none. */
static const char *heard(int fd)
{
    static char text[CONTROL_LINE_MAX];
    ssize_t length;

    run_loop_for(loop, 20);
    length = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    if (length <= 0)
        return length < 0 && errno == EAGAIN ? "" : NULL;
    text[length] = '\0';
    return text;
}

static void answers(const char *request, const char *wanted)
{
    cleanup_fd int fd = ask(request);
    const char *text = heard(fd);

    if (!text || !strstr(text, wanted))
        fail_msg("%s was answered by %s, wanted %s", request, text ? text : "nothing", wanted);
}

#define STATUS "{\"command\":\"status\"}\n"
#define PAUSE "{\"command\":\"pause\"}\n"
#define RESUME "{\"command\":\"resume\"}\n"
#define OK "{\"ok\":true}\n"

/* ---- the VM's process -------------------------------------------------------- */

/* A request has come, and this is it; or there is none: -1. */
static int requested(bool *silent)
{
    struct message request;
    int fds[MESSAGE_FDS_MAX];

    if (message_receive(ends[1], FROM_SUPERVISOR, &request, fds, 0) != 1)
        return -1;
    for (came = 0; came < MESSAGE_FDS_MAX && fds[came] >= 0; came++)
        continue;
    message_close_files(fds);
    *silent = request.header.id == 0;
    if (!*silent)
        awaited = request.header.id;
    return (int)request.header.type;
}

static void expect_request(enum message_type kind, bool silent)
{
    bool was_silent = false;

    assert_int_equal(requested(&was_silent), (int)kind);
    assert_int_equal(was_silent, silent);
}

static void expect_no_request(void)
{
    bool silent;

    assert_int_equal(requested(&silent), -1);
}

static void reply(bool paused, int error_number, const char *message)
{
    struct message answer = {
        .header = { .type = MESSAGE_ANSWER, .id = awaited },
        .answer = { .paused = paused, .error_number = error_number },
    };

    snprintf(answer.answer.message, sizeof(answer.answer.message), "%s", message);
    vm_requests_answered(&process, &answer);
}

static void start_vm(void)
{
    process.channel = ends[0];
    vm_control_attach(control, &process);
}

static void end_vm(void)
{
    process.channel = -1;
    vm_requests_fail(&process);
    vm_control_attach(control, NULL);
}

/* A client has it paused. */
static void pause_it(void)
{
    cleanup_fd int fd = ask(PAUSE);

    expect_request(REQUEST_PAUSE, false);
    assert_string_equal(heard(fd), "");
    reply(true, 0, "");
    assert_string_equal(heard(fd), OK);
    assert_true(store_is_paused(&entry));
}

/* ---- the tests --------------------------------------------------------------- */

static void a_job_that_has_not_begun(void **state)
{
    (void)state;
    answers(PAUSE, "is being started");
    answers(STATUS, "\"state\":\"running\"");
    answers(STATUS, "\"name\":\"job\"");
    answers(STATUS, "\"cpus\":2,\"memory\":67108864");
    start_vm();
    pause_it();
}

static void paused_and_resumed(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    start_vm();
    pause_it();
    answers(STATUS, "\"state\":\"paused\"");
    fd = ask(RESUME);
    expect_request(REQUEST_RESUME, false);
    reply(false, 0, "");
    assert_string_equal(heard(fd), OK);
    assert_false(store_is_paused(&entry));
    answers(STATUS, "\"state\":\"running\"");
}

static void what_a_job_has_not(void **state)
{
    (void)state;
    start_vm();
    answers("{\"command\":\"snapshot\",\"folder\":\"/nowhere/x\"}\n", "mote boot --name");
    answers("{\"command\":\"balloon\",\"target\":1}\n", "no balloon");
    answers("{\"command\":\"refresh\"}\n", "whose disks stay as they are");
    expect_no_request();
    answers("{\"command\":\"stop\"}\n", "\"ok\":true");
    assert_int_equal(stopped, 1);
}

/* Its supervisor wants something of the job, which has to go on for that. */
static void goes_on_for_its_end(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    vm_control_resume(control);
    start_vm();
    vm_control_resume(control);
    expect_no_request();
    pause_it();
    vm_control_resume(control);
    expect_request(REQUEST_RESUME, true);
    assert_false(store_is_paused(&entry));
    answers(STATUS, "\"state\":\"running\"");
    /* Amid a pause: that was carried out first. */
    fd = ask(PAUSE);
    vm_control_resume(control);
    expect_request(REQUEST_PAUSE, false);
    expect_request(REQUEST_RESUME, true);
    reply(true, 0, "");
    assert_string_equal(heard(fd), OK);
    assert_false(store_is_paused(&entry));
    /* And not the next one. */
    pause_it();
}

static void ends_amid_a_request(void **state)
{
    cleanup_fd int fd = -1, other = -1;

    (void)state;
    start_vm();
    pause_it();
    fd = ask(RESUME);
    other = ask(PAUSE);
    end_vm();
    assert_non_null(strstr(heard(fd), "the VM ended before it was done"));
    assert_non_null(strstr(heard(other), "is being started, or ends"));
    assert_false(store_is_paused(&entry));
    reply(true, 0, "");
    assert_false(store_is_paused(&entry));
}

/* Its guest may have taken it over; message_receive() has looked at them. */
static void hostile_answers(void **state)
{
    char longest[sizeof(((struct answer *)0)->message)];
    cleanup_fd int fd = -1, other = -1;

    (void)state;
    start_vm();
    /* Which nobody waits for. */
    reply(true, 0, "");
    assert_false(store_is_paused(&entry));
    answers(STATUS, "\"state\":\"running\"");
    fd = ask(PAUSE);
    expect_request(REQUEST_PAUSE, false);
    awaited++;
    reply(true, 0, "");
    assert_string_equal(heard(fd), "");
    awaited--;
    reply(true, EIO, "\x1b");
    assert_non_null(strstr(heard(fd), "{\"ok\":false,\"error\":\"?"));
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    other = ask(PAUSE);
    expect_request(REQUEST_PAUSE, false);
    reply(false, EIO, longest);
    assert_non_null(strstr(heard(other), "\"error\":\"xxx"));
    assert_false(store_is_paused(&entry));
}

/* It reads no requests: who asks hears of that, and the supervisor goes on. */
static void a_process_that_does_not_listen(void **state)
{
    (void)state;
    start_vm();
    while (send(ends[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        continue;
    answers(PAUSE, "does not listen");
    answers(STATUS, "\"ok\":true");
    vm_control_resume(control);
}

static void clients_of_a_job_that_is_gone(void **state)
{
    cleanup_fd int waiting = -1, idle = -1;

    (void)state;
    start_vm();
    waiting = ask(PAUSE);
    idle = ask("{\"comm");
    vm_control_destroy(control);
    assert_null(heard(waiting));
    assert_null(heard(idle));
    /* Another job has the name. */
    open_control(true);
    answers(STATUS, "\"ok\":true");
}

static void a_vm_is_no_job(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    vm_control_destroy(control);
    open_control(false);
    start_vm();
    fd = ask("{\"command\":\"balloon\",\"target\":4096}\n");
    expect_request(REQUEST_BALLOON, false);
    reply(false, 0, "");
    assert_string_equal(heard(fd), OK);
    close(fd);
    fd = ask("{\"command\":\"refresh\"}\n");
    expect_request(REQUEST_REFRESH, false);
    reply(false, 0, "");
    assert_string_equal(heard(fd), OK);
}

/* Any numbers: they are shown, and nothing is made of them. */
static void statistics_of_a_broken_monitor(void **state)
{
    struct message answer = { .header.type = MESSAGE_ANSWER };
    cleanup_fd int fd = -1;
    const char *text;

    (void)state;
    start_vm();
    fd = ask("{\"command\":\"statistics\"}\n");
    expect_request(REQUEST_STATISTICS, false);
    answer.header.id = awaited;
    memset(&answer.answer.statistics, 0xfe, sizeof(answer.answer.statistics));
    answer.answer.statistics.guest[0] = UINT64_MAX;
    answer.answer.statistics.guest[1] = 7;
    vm_requests_answered(&process, &answer);
    text = heard(fd);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"written\":18374403900871474942"));
    assert_non_null(strstr(text, "\"guest\":{\"swap_out\":7,"));
    assert_non_null(strstr(text, "\"ok\":true"));
    close(fd);
    /* Without a balloon there is none, and of none a guest's account. */
    fd = ask("{\"command\":\"statistics\"}\n");
    expect_request(REQUEST_STATISTICS, false);
    answer.header.id = awaited;
    answer.answer.statistics.balloon_target = UINT64_MAX;
    vm_requests_answered(&process, &answer);
    text = heard(fd);
    assert_non_null(text);
    assert_null(strstr(text, "guest"));
}

/* ---- silence ----------------------------------------------------------------- */

/* The answer of FD, however long it is waited for, refuses for the silence alone. */
static void refused_after(int fd, unsigned int wanted)
{
    const char *text = "";

    for (int i = 0; i < 200 && text && !text[0]; i++)
        text = heard(fd);
    if (!text || !strstr(text, "{\"ok\":false,\"error\":\"its process does not answer") ||
        !strstr(text, "'mote stop job'"))
        fail_msg("was answered: %s", text ? text : "not at all");
    assert_int_equal(seconds, wanted);
    seconds = 0;
}

static void a_process_that_is_silent(void **state)
{
    cleanup_fd int fd = -1, queued = -1, next = -1;

    (void)state;
    start_vm();
    fd = ask(PAUSE);
    queued = ask(RESUME);
    answers(STATUS, "\"state\":\"running\"");
    answers("{\"command\":\"stop\"}\n", "\"ok\":true");
    assert_int_equal(stopped, 1);
    assert_string_equal(heard(fd), "");
    hurried = true;
    refused_after(fd, 19); /* the first was a whole one */
    refused_after(queued, 0);
    answers(STATUS, "\"state\":\"running\"");
    /* It comes back, and what came of the request is undone. */
    expect_request(REQUEST_PAUSE, false);
    expect_request(REQUEST_RESUME, true);
    expect_no_request();
    reply(true, 0, "");
    assert_false(store_is_paused(&entry));
    hurried = false;
    next = ask(RESUME);
    expect_request(REQUEST_RESUME, false);
    reply(false, 0, "");
    assert_string_equal(heard(next), OK);
}

/* What is late is no answer to what was asked afterwards; and what stood still does so again. */
static void late_answers(void **state)
{
    cleanup_fd int fd = -1, next = -1;

    (void)state;
    start_vm();
    pause_it();
    hurried = true;
    fd = ask(RESUME);
    refused_after(fd, 20);
    expect_request(REQUEST_RESUME, false);
    expect_request(REQUEST_PAUSE, true);
    answers(STATUS, "\"state\":\"paused\"");
    hurried = false;
    reply(false, EIO, "late");
    assert_true(store_is_paused(&entry));
    next = ask(RESUME);
    assert_string_equal(heard(next), "");
    expect_request(REQUEST_RESUME, false);
    reply(false, 0, "");
    assert_string_equal(heard(next), OK);
    assert_false(store_is_paused(&entry));
    reply(true, EIO, "twice");
    assert_false(store_is_paused(&entry));
}

/* One that ended owes nothing, and neither does the next. */
static void silent_to_its_end(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    start_vm();
    hurried = true;
    fd = ask(PAUSE);
    refused_after(fd, 20);
    expect_request(REQUEST_PAUSE, false);
    expect_request(REQUEST_RESUME, true);
    hurried = false;
    end_vm();
    answers(PAUSE, "is being started");
    start_vm();
    pause_it();
}

/* A snapshot is waited for the longer the further it is, but not beyond its end: it has 64 MiB. */
static void a_snapshot_that_comes_to_a_halt(void **state)
{
    static const struct {
        off_t offset;
        unsigned int seconds;
    } cases[] = {
        { 0, 20 }, { 4 << 20, 21 }, { 64 << 20, 36 }, { (off_t)1 << 40, 36 },
    };
    char partial[300], request[400];

    (void)state;
    vm_control_destroy(control);
    open_control(false);
    start_vm();
    snprintf(request, sizeof(request), "{\"command\":\"snapshot\",\"folder\":\"%s/snap\"}\n",
             directory.path);
    snprintf(partial, sizeof(partial), "%s/snap.partial", directory.path);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cleanup_fd int fd = -1;
        struct message request_message;
        int fds[MESSAGE_FDS_MAX];

        hurried = false;
        fd = ask(request);
        assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &request_message, fds, 0), 1);
        awaited = request_message.header.id;
        assert_int_equal(lseek(fds[1], cases[i].offset, SEEK_SET), cases[i].offset);
        assert_int_equal(access(partial, F_OK), 0);
        hurried = true;
        refused_after(fd, cases[i].seconds - 1);
        assert_int_equal(access(partial, F_OK), -1);
        message_close_files(fds);
        expect_request(REQUEST_RESUME, true);
        reply(false, 0, "");
    }
}

/* ---- a disk's next file ------------------------------------------------------- */

static char disk_paths[2][96];
static struct device_config disk = { .type = DEVICE_TYPE_DISK };
static struct block_host disk_host;

static bool is_free(const char *path)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK;
}

/* The VM has a disk, the first of the two files. */
static void add_disk(void)
{
    static struct log log = { .fd = -1, .level = LOG_ERROR };
    struct error error = ERROR_INIT;

    for (int i = 0; i < 2; i++) {
        cleanup_fd int fd = -1;

        snprintf(disk_paths[i], sizeof(disk_paths[i]), "%s/disk%d", directory.path, i);
        fd = open(disk_paths[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, (i + 1) << 20), 0);
    }
    disk.disk = (struct block_options){ .path = disk_paths[0], .fd = -1, .serial = "data", .engine = DISK_ENGINE_SYNC };
    assert_int_equal(host_disk_open(&disk_host, &disk.disk, &log, &error), 0);
    disk.disk.host = &disk_host;
    config.devices[0] = &disk;
    config.device_count = 1;
    vm_control_destroy(control);
    open_control(false);
}

static void remove_disk(void)
{
    host_disk_close(&disk_host);
    config.device_count = 0;
    config_pool_release(&config.pool);
    for (int i = 0; i < 2; i++)
        unlink(disk_paths[i]);
}

/* A client asks for the second file; the request and its descriptor are there. */
static int ask_for_second(void)
{
    char request[256];
    int fd;

    snprintf(request, sizeof(request), "{\"command\":\"replace-disk\",\"disk\":\"data\",\"path\":\"%s\"}\n", disk_paths[1]);
    fd = ask(request);
    expect_request(REQUEST_REPLACE_DISK, false);
    assert_int_equal(came, 1);
    assert_false(is_free(disk_paths[0]));
    assert_false(is_free(disk_paths[1]));
    return fd;
}

static void assert_has(int index)
{
    assert_string_equal(disk.disk.path, disk_paths[index]);
    assert_false(is_free(disk_paths[index]));
    assert_true(is_free(disk_paths[!index]));
}

static void a_disk_is_replaced(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    add_disk();
    start_vm();
    fd = ask_for_second();
    reply(false, 0, "");
    assert_string_equal(heard(fd), OK);
    assert_has(1);
    assert_int_equal(disk.disk.block_size, 512);
    remove_disk();
}

/* Refused, of its own accord or because a guest has broken into it; twice; and not at all. */
static void a_monitor_that_does_not_take_the_disk(void **state)
{
    cleanup_fd int fd = -1, other = -1;

    (void)state;
    add_disk();
    start_vm();
    fd = ask_for_second();
    awaited++;
    reply(false, 0, ""); /* of a request that there was not */
    awaited--;
    assert_string_equal(heard(fd), "");
    assert_false(is_free(disk_paths[1]));
    reply(false, EIO, "no");
    assert_non_null(strstr(heard(fd), "\"error\":\"no\""));
    assert_has(0);
    reply(false, 0, ""); /* once more, and the other way */
    assert_has(0);
    other = ask_for_second();
    end_vm();
    assert_non_null(strstr(heard(other), "the VM ended before it was done"));
    assert_has(0);
    remove_disk();
}

/* Its client was told that it is silent; which file the disk has is known when it answers. */
static void a_disk_that_is_replaced_late(void **state)
{
    cleanup_fd int fd = -1;

    (void)state;
    add_disk();
    start_vm();
    hurried = true;
    fd = ask_for_second();
    run_loop_for(loop, 100);
    assert_non_null(strstr(heard(fd), "does not answer"));
    assert_false(is_free(disk_paths[0]));
    assert_false(is_free(disk_paths[1]));
    reply(false, 0, "");
    assert_has(1);
    remove_disk();
}

static void disks_that_cannot_be_replaced(void **state)
{
    char request[256];

    (void)state;
    add_disk();
    answers("{\"command\":\"replace-disk\",\"disk\":\"0\",\"path\":\"/nonexistent\"}\n", "does not exist");
    start_vm();
    answers("{\"command\":\"replace-disk\",\"disk\":\"1\",\"path\":\"/x\"}\n", "a number from 0 to 0");
    answers("{\"command\":\"replace-disk\",\"disk\":\"\",\"path\":\"/x\"}\n", "a number from 0 to 0");
    answers("{\"command\":\"replace-disk\",\"disk\":\"0\",\"path\":\"x\"}\n", "no absolute path");
    snprintf(request, sizeof(request), "{\"command\":\"replace-disk\",\"disk\":\"0\",\"path\":\"%s\"}\n", disk_paths[0]);
    answers(request, "is a disk of this VM already");
    answers("{\"command\":\"set-rate\",\"kind\":\"net\",\"device\":\"0\",\"rates\":\"rate=1M\"}\n", "boot it with --net");
    answers("{\"command\":\"set-rate\",\"kind\":\"disk\",\"device\":\"0\",\"rates\":\"rx-rate=1M\"}\n", "is unknown");
    answers("{\"command\":\"set-rate\",\"kind\":\"disk\",\"device\":\"0\",\"rates\":\"rate=0\"}\n", "out of range");
    expect_no_request();
    assert_has(0);
    vm_control_destroy(control);
    open_control(true);
    vm_control_attach(control, &process);
    answers("{\"command\":\"replace-disk\",\"disk\":\"0\",\"path\":\"/x\"}\n", "whose disks stay as they are");
    remove_disk();
}

static void rates_are_set(void **state)
{
    cleanup_fd int fd = -1, other = -1;

    (void)state;
    add_disk();
    start_vm();
    fd = ask("{\"command\":\"set-rate\",\"kind\":\"disk\",\"device\":\"data\",\"rates\":\"rate=1M,ops=7\"}\n");
    expect_request(REQUEST_SET_RATE, false);
    assert_int_equal(came, 2);
    assert_int_equal(disk.disk.rate.operations.size, 0);
    reply(false, 0, "");
    assert_string_equal(heard(fd), OK);
    assert_int_equal(disk.disk.rate.operations.size, 7);
    other = ask("{\"command\":\"set-rate\",\"kind\":\"disk\",\"device\":\"0\",\"rates\":\"unlimited\"}\n");
    expect_request(REQUEST_SET_RATE, false);
    reply(false, EIO, "no");
    assert_non_null(strstr(heard(other), "no"));
    assert_int_equal(disk.disk.rate.bytes.size, 1 << 20);
    remove_disk();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_that_has_not_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paused_and_resumed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_job_has_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_on_for_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_amid_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_process_that_does_not_listen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients_of_a_job_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_vm_is_no_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statistics_of_a_broken_monitor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_process_that_is_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(late_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_to_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_that_comes_to_a_halt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_monitor_that_does_not_take_the_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_is_replaced_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(disks_that_cannot_be_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rates_are_set, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
