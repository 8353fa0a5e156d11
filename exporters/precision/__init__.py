"""Policy files of reduced precision: fp16 and int8, their error in action units, their success measured again."""
