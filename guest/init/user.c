/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USER[:GROUP] by the files of the job's root, which are the image's: lines of
 * any length, numbers of any size, fields that are missing.  Not by the C
 * library, whose lookups would load code from the image.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/init/init.h"

#define FIELDS_MAX 8
#define LINE_SIZE 4096
#define NAME_SIZE 256

/* Digits only, and no more than an ID holds. */
static bool read_id(const char *text, uint32_t *id)
{
    unsigned long long value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned int)(*text - '0');
        if (value >= UINT32_MAX)
            return false;
    }
    *id = (uint32_t)value;
    return true;
}

static FILE *open_file(const char *folder, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return fopen(path, "re");
}

/* The next line of FILE in its fields; their number, 0 at the end.  Too long a line is cut. */
static size_t read_line(FILE *file, char line[LINE_SIZE], char *fields[FIELDS_MAX])
{
    size_t count = 0;
    char *rest = line;

    if (!fgets(line, LINE_SIZE, file))
        return 0;
    if (!strchr(line, '\n'))
        for (int c = fgetc(file); c != EOF && c != '\n'; c = fgetc(file))
            ;
    line[strcspn(line, "\n")] = '\0';
    while (count < FIELDS_MAX && rest)
        fields[count++] = strsep(&rest, ":");
    return count;
}

/* name:password:uid:gid:comment:home:shell.  False: not there.  NAME may be a number, and becomes the user's name. */
static bool find_user(const char *folder, char name[NAME_SIZE], struct user *user)
{
    char line[LINE_SIZE], *fields[FIELDS_MAX];
    FILE *file = open_file(folder, "passwd");
    uint32_t id = 0, uid, gid;
    bool by_id = read_id(name, &id), found = false;
    size_t count;

    if (!file)
        return false;
    while (!found && (count = read_line(file, line, fields)) > 0) {
        if (count < 6 || !read_id(fields[2], &uid) || !read_id(fields[3], &gid))
            continue;
        if (strcmp(fields[0], name) != 0 && !(by_id && uid == id))
            continue;
        user->uid = uid;
        user->gid = gid;
        snprintf(user->home, sizeof(user->home), "%s", fields[5]);
        snprintf(name, NAME_SIZE, "%s", fields[0]);
        found = true;
    }
    fclose(file);
    return found;
}

static bool is_member(char *members, const char *name)
{
    for (char *member; (member = strsep(&members, ","));)
        if (strcmp(member, name) == 0)
            return true;
    return false;
}

/* name:password:gid:members.  The group NAME into *GID; false: not there. */
static bool find_group(const char *folder, const char *name, gid_t *gid)
{
    char line[LINE_SIZE], *fields[FIELDS_MAX];
    FILE *file = open_file(folder, "group");
    bool found = false;
    uint32_t id;
    size_t count;

    if (!file)
        return false;
    while (!found && (count = read_line(file, line, fields)) > 0)
        if (count >= 3 && strcmp(fields[0], name) == 0 && read_id(fields[2], &id)) {
            *gid = id;
            found = true;
        }
    fclose(file);
    return found;
}

static void add_memberships(const char *folder, const char *name, struct user *user)
{
    char line[LINE_SIZE], *fields[FIELDS_MAX];
    FILE *file = open_file(folder, "group");
    uint32_t id;
    size_t count;

    if (!file)
        return;
    while ((count = read_line(file, line, fields)) > 0)
        if (count >= 4 && user->group_count < GROUPS_MAX && read_id(fields[2], &id) &&
            id != user->gid && is_member(fields[3], name))
            user->groups[user->group_count++] = id;
    fclose(file);
}

/* By name, else by number, which needs no entry. */
static gid_t group_named(const char *folder, const char *name)
{
    gid_t gid;
    uint32_t id;

    if (find_group(folder, name, &gid))
        return gid;
    if (!read_id(name, &id))
        init_failed(0, "group %s: is not in the image's /etc/group; give a number or a name from "
                    "there", name);
    return id;
}

void user_find(const char *spec, const char *folder, struct user *user)
{
    char name[NAME_SIZE];
    size_t length = strcspn(spec, ":");
    const char *group = spec[length] && spec[length + 1] ? spec + length + 1 : NULL;
    uint32_t id;
    bool found;

    *user = (struct user){ .home = "/" };
    snprintf(name, sizeof(name), "%.*s", length ? (int)length : 1, length ? spec : "0");
    found = find_user(folder, name, user);
    if (!found) {
        /* A number needs no entry; its group is then 0, as container tools have it. */
        if (!read_id(name, &id))
            init_failed(0, "user %s: is not in the image's /etc/passwd; give a number or a name "
                        "from there", name);
        user->uid = id;
    }
    if (user->uid == 0 && strcmp(user->home, "/") == 0)
        strcpy(user->home, "/root");
    if (group)
        user->gid = group_named(folder, group);
    user->groups[user->group_count++] = user->gid;
    if (!group && found)
        add_memberships(folder, name, user);
}
