# -----------------------------------------------------------------------------

make_store || bail "no $FS store"

staged_case sync=manual a_file_made_again_only_to_read_can_be_committed \
	mounted a_file_made_again_only_to_read_can_be_committed
staged_case sync=manual nothing_passes_a_removal \
	mounted nothing_passes_a_removal
staged_case sync=manual an_emptied_directory_can_be_replaced \
	mounted an_emptied_directory_can_be_replaced
t the_store_is_given_back drop_store
done_testing
