#!/bin/sh
# train.sh DATA WORK: every training step in order. A step that was stopped goes on where it was.
set -eu
cd "$(dirname "$0")"
python train_trunk.py --data "$1" --work "$2"
python features.py --data "$1" --work "$2"
python train_concepts.py --data "$1" --work "$2"
python train_text.py --data "$1" --work "$2"
python train_captions.py --data "$1" --work "$2"
python embed.py --data "$1" --work "$2"
python train_int8.py --data "$1" --work "$2"
