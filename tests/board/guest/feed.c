// feed DEVICE FOURCC WIDTH HEIGHT FRAMES-A-SECOND FILE: shows one frame, the whole of FILE, on an output device for ever.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int count, char **arguments) {
    if (count != 7 || strlen(arguments[2]) != 4) {
        fprintf(stderr, "feed DEVICE FOURCC WIDTH HEIGHT FRAMES-A-SECOND FILE\n");
        return 2;
    }
    const char *fourcc = arguments[2];
    const int rate = atoi(arguments[5]);

    static char frame[1 << 22];
    int file = open(arguments[6], O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, frame, sizeof frame);
    if (length <= 0)
        fail(arguments[6]);

    int device = open(arguments[1], O_RDWR);
    if (device < 0)
        fail(arguments[1]);
    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    format.fmt.pix.pixelformat = v4l2_fourcc(fourcc[0], fourcc[1], fourcc[2], fourcc[3]);
    format.fmt.pix.width = atoi(arguments[3]);
    format.fmt.pix.height = atoi(arguments[4]);
    format.fmt.pix.field = V4L2_FIELD_NONE;
    format.fmt.pix.colorspace = V4L2_COLORSPACE_SRGB;
    // Compressed frames are of any length up to this; for others the driver knows it.
    if (!strcmp(fourcc, "MJPG"))
        format.fmt.pix.sizeimage = 2 * format.fmt.pix.width * format.fmt.pix.height;
    if (ioctl(device, VIDIOC_S_FMT, &format))
        fail("VIDIOC_S_FMT");
    struct v4l2_streamparm rates = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    rates.parm.output.timeperframe = (struct v4l2_fract){1, rate};
    if (ioctl(device, VIDIOC_S_PARM, &rates))
        fail("VIDIOC_S_PARM");
    for (;;) {
        if (write(device, frame, length) != length)
            fail("write");
        usleep(1000000 / rate);
    }
}
