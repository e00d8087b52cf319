/*
 * Compiled into PyInstaller's bootloader: looks at the folder that the one file is about to unpack itself into.
 * The bootloader by itself would begin, fail in words that name no remedy, and leave behind what it had written.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What is unpacked is compressed in the file. A test holds this against what it really takes. */
enum { TIMES_LARGER = 3 };

/* The folder variant has this beside it and unpacks nothing. */
static const char CONTENTS[] = "_internal";

static int is_unpacked(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof CONTENTS);
    if (length <= 0)
        return 1;
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, CONTENTS);
    return access(path, F_OK) == 0;
}

static const char *trouble_in(const char *folder)
{
    struct statvfs disk;
    struct stat self;
    if (statvfs(folder, &disk) || stat("/proc/self/exe", &self))
        return NULL;
    if (disk.f_flag & ST_NOEXEC)
        return "is mounted noexec, so nothing that is unpacked there can run";
    if ((unsigned long long) disk.f_bavail * disk.f_frsize < (unsigned long long) self.st_size * TIMES_LARGER)
        return "has no room for what this program unpacks at each start";
    return NULL;
}

__attribute__((constructor)) static void look_before_unpacking(void)
{
    /* In the bootloader's own order. Its child finds everything unpacked. */
    const char *folders[] = {getenv("TMPDIR"), getenv("TEMP"), getenv("TMP"), "/tmp", "/var/tmp", "/usr/tmp"};
    if (getenv("_PYI_ARCHIVE_FILE") != NULL || is_unpacked())
        return;
    for (size_t at = 0; at < sizeof folders / sizeof *folders; at++) {
        const char *folder = folders[at];
        if (folder == NULL || *folder == '\0' || access(folder, W_OK | X_OK))
            continue;
        const char *trouble = trouble_in(folder);
        if (trouble == NULL)
            return;
        fprintf(stderr, "Error: %s %s; set TMPDIR to another folder, or run the folder variant, gateway-dir/gateway\n",
                folder, trouble);
        _exit(1);
    }
}
