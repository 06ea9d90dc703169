"""The program that the server starts as: PYTHON tflite_serving_worker.py SOCKET_FD INPUT_FD OUTPUT_FD (tflite_serving/_worker.py)."""

from tflite_serving._worker import main

if __name__ == "__main__":
    main()
